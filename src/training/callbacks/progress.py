"""A progress bar over the whole training, with the time left."""

import sys
from typing import Any

import lightning as L  # noqa: N812
from lightning.pytorch.callbacks import TQDMProgressBar


class StepProgressBar(TQDMProgressBar):
    """Show steps of all steps: the loader is endless, so Lightning's own bar knows no end.

    Args:
        lines: Lines printed over the whole training where the output is no terminal.
    """

    def __init__(self, *, lines: int = 20) -> None:
        super().__init__()
        self.lines = lines

    @property
    def total_train_batches(self) -> int | float:
        """Return the number of batches of the whole training."""
        steps = self.trainer.max_steps
        return steps * self.trainer.accumulate_grad_batches if steps > 0 else float("inf")

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Slow the bar down where each refresh would become a line of a log file."""
        super().setup(trainer, pl_module, stage)
        if not sys.stderr.isatty() and trainer.max_steps > 0:
            batches = trainer.max_steps * trainer.accumulate_grad_batches
            self._refresh_rate = max(1, batches // self.lines)

    def on_train_epoch_start(self, *args: Any) -> None:  # noqa: ANN401
        """Name the bar, and begin it where a resumed run begins."""
        super().on_train_epoch_start(*args)
        self.train_progress_bar.set_description("Training")
        done = self.trainer.global_step * self.trainer.accumulate_grad_batches
        self.train_progress_bar.initial = done

    def get_metrics(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return what stands beside the bar; the version number does not."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics
