"""Checkpoints note in which runs of which loggers their training was recorded."""

from typing import Any, Protocol, runtime_checkable

import lightning as L  # noqa: N812

from src.weights.names import KEY

RUN_IDS = "run_ids"


@runtime_checkable
class Identified(Protocol):
    """A logger whose run has an identity elsewhere, e.g. ("wandb", "1b2c3d4e")."""

    @property
    def identity(self) -> tuple[str, str]:
        """Name of the logger and id of the run."""
        ...


class RunIdentity(L.Callback):
    """Put the identities beside the provenance; it must come after ``Provenance``."""

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add name → id, which a resumed run whose folder has lost them goes on with."""
        identities = [
            logger.identity for logger in trainer.loggers if isinstance(logger, Identified)
        ]
        checkpoint[KEY][RUN_IDS] = dict(identities)
