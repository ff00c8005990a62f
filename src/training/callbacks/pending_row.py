"""The row of metrics that is written only after the checkpoint of its step."""

from typing import Any

import lightning as L  # noqa: N812

from src.training.callbacks.csv_logger import ResumableCSVLogger

PENDING = "pending_row"


class PendingRow(L.Callback):
    """Let a checkpoint carry the row of its own step, which Lightning logs after the checkpoint.

    A run that is killed in between, or that waits there for a process that is gone, would otherwise
    go on without that row.
    """

    def __init__(self) -> None:
        self._row: dict[str, float] | None = None

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the row, if the step that has just been done will be logged."""
        step = trainer.global_step
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        due = every > 0 and step % every == 0
        if not trainer.training or step == 0 or not due:
            return
        logged = trainer.logged_metrics.items()
        row = {name: float(value) for name, value in logged if not name.startswith("val/")}
        checkpoint[PENDING] = {**row, "epoch": trainer.current_epoch, "step": step - 1}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take up the row of the step that the run goes on from."""
        self._row = checkpoint.get(PENDING)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write it, unless it was written then."""
        for logger in trainer.loggers:
            if self._row is not None and isinstance(logger, ResumableCSVLogger):
                logger.add_missing(self._row)
        self._row = None
