"""Resume where the dice were: torch's global random state travels in the checkpoint."""

from typing import Any

import lightning as L  # noqa: N812
import torch
import torch.distributed as dist
from torch import Tensor

from src.core.seeding import seed_from


class RandomState(L.Callback):
    """Save and restore torch's global generators, which dropout and the like draw from.

    Patches and noise do not need this: they are functions of seed, step and rank. Each process has
    a state of its own; a checkpoint holds all, one a row.
    """

    def __init__(self) -> None:
        self._restored: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all processes as tensors, which weights-only loading accepts."""
        states = {"cpu": _of_all(torch.get_rng_state())}
        if torch.cuda.is_available():
            states["cuda"] = _of_all(torch.cuda.get_rng_state())
        return states

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts; building the network must not disturb them."""
        self._restored = state_dict

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Set the state of this process: the saved one, else one that no other process has."""
        rank = trainer.global_rank
        if "cpu" not in self._restored:
            if rank > 0:
                torch.random.manual_seed(seed_from("process", torch.initial_seed(), rank))
            return
        torch.set_rng_state(_row(self._restored["cpu"], rank))
        if "cuda" in self._restored and torch.cuda.is_available():
            torch.cuda.set_rng_state(_row(self._restored["cuda"], rank))


def _of_all(state: Tensor) -> Tensor:
    """Return the states of all processes, (processes, bytes)."""
    if not dist.is_initialized():
        return state[None]
    states: list[Tensor] = [state] * dist.get_world_size()
    dist.all_gather_object(states, state)
    return torch.stack(states)


def _row(states: Tensor, rank: int) -> Tensor:
    """Return the state of process ``rank``; where fewer were saved, theirs are used again."""
    # cloned: torch reads a state from the beginning of its storage, wherever the row begins
    return states[rank % len(states)].cpu().clone()
