"""Resume where the dice were: torch's global random state travels in the checkpoint."""

from typing import Any

import lightning as L  # noqa: N812
import torch
from torch import Tensor


class RandomState(L.Callback):
    """Save and restore torch's global generators, which dropout and the like draw from.

    Patches and noise do not need this: they are functions of (seed, step, rank).
    """

    def __init__(self) -> None:
        self._restored: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return the states as tensors, which weights-only loading accepts."""
        states = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            states["cuda"] = torch.cuda.get_rng_state()
        return states

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts; building the network must not disturb them."""
        self._restored = state_dict

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Set the states, if there are any."""
        if "cpu" in self._restored:
            torch.set_rng_state(self._restored["cpu"].cpu())
        if "cuda" in self._restored and torch.cuda.is_available():
            torch.cuda.set_rng_state(self._restored["cuda"].cpu())
