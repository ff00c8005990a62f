"""What makes a checkpoint enough by itself: the plain config, the version, the commit."""

from typing import Any

import lightning as L  # noqa: N812

from src.core.types import PlainConfig
from src.weights.names import FORMAT, KEY


class Provenance(L.Callback):
    """Put the plain config and its origin into each checkpoint, as plain containers.

    Args:
        config: The resolved config without any OmegaConf object.
        origin: Version, commit and the like; strings and numbers only.
    """

    def __init__(self, config: PlainConfig, origin: dict[str, Any]) -> None:
        self.config, self.origin = config, origin

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the entry that ``src.weights.checkpoint`` reads."""
        checkpoint[KEY] = {"format": FORMAT, "config": self.config, **self.origin}
