"""How far training is, how fast, and how much of the time it waits for data."""

import logging
import sys
import time
from datetime import timedelta
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.utilities import rank_zero_only

logger = logging.getLogger(__name__)

PATIENCE_S = 300.0
"""Seconds without a line after which the next step or validated image writes one."""

WAIT_LIMIT = 0.10
SETTLED = 20
"""Batches until loader processes have started and filled their queues."""


class StepProgressBar(TQDMProgressBar):
    """Show steps of all steps, with the time left: the loader is endless, Lightning's bar too.

    Where the output is no terminal, a few whole lines are written in place of a bar, and one at
    least every five minutes.

    Args:
        lines: How many lines over the whole training.
    """

    def __init__(self, *, lines: int = 20) -> None:
        super().__init__()
        self.lines = lines
        self._begun = (0.0, 0)  # time and step
        self._last = 0  # step of the latest line: accumulated batches are one step
        self._written = 0.0  # time of the latest line

    @property
    def total_train_batches(self) -> int | float:
        """Return the number of batches of the whole training."""
        steps = self.trainer.max_steps
        return steps * self.trainer.accumulate_grad_batches if steps > 0 else float("inf")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Show no bar where each of its changes would stay in a file."""
        super().setup(trainer, pl_module, stage)
        if not sys.stderr.isatty():
            self.disable()

    def on_train_start(self, *args: Any) -> None:
        """Begin to measure the time."""
        super().on_train_start(*args)
        self._written = time.monotonic()
        self._begun = (self._written, self.trainer.global_step)

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Move the bar, or write a line where one is due."""
        super().on_train_batch_end(trainer, *args)
        step, steps = trainer.global_step, trainer.max_steps
        due = step % max(1, steps // self.lines) == 0 or self._is_quiet
        if self.is_disabled and 0 < step < steps and due and step > self._last:
            self._write_line(step, steps)

    @property
    def _is_quiet(self) -> bool:
        return time.monotonic() - self._written > PATIENCE_S

    @rank_zero_only
    def _write_line(self, step: int, steps: int) -> None:
        self._last, self._written = step, time.monotonic()
        begun, first = self._begun
        left = (time.monotonic() - begun) / max(1, step - first) * (steps - step)
        loss = self.trainer.callback_metrics.get("train/loss")
        said = "" if loss is None else f", train/loss {float(loss):.4g}"
        logger.info("step %d of %d, %s left%s", step, steps, timedelta(seconds=round(left)), said)

    def on_train_epoch_start(self, *args: Any) -> None:
        """Name the bar, and begin it where a resumed run begins."""
        super().on_train_epoch_start(*args)
        self.train_progress_bar.set_description("Training")
        done = self.trainer.global_step * self.trainer.accumulate_grad_batches
        self.train_progress_bar.initial = done

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Move the bar inside the image too: a large one takes minutes."""
        super().on_validation_batch_start(trainer, pl_module, batch, batch_idx, dataloader_idx)
        bar, restorer = self.val_progress_bar, getattr(pl_module, "restorer", None)

        def move(part: float) -> None:
            bar.n = round(batch_idx + part, 2)
            bar.refresh()

        if restorer is not None:
            restorer.watcher = None if self.is_disabled else move

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Move the bar, or write a line where nothing has been written for long."""
        super().on_validation_batch_end(
            trainer, pl_module, outputs, batch, batch_idx, dataloader_idx
        )
        if self.is_disabled and self._is_quiet:
            counts = [int(count) for count in trainer.num_val_batches]
            self._write_validation(sum(counts[:dataloader_idx]) + batch_idx + 1, sum(counts))

    @rank_zero_only
    def _write_validation(self, done: int, of: int) -> None:
        self._written = time.monotonic()
        logger.info("step %d: %d of %d images validated", self.trainer.global_step, done, of)

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return what stands beside the bar; the version number does not."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


class Throughput(Callback):
    """Log ``perf/images_per_s`` of all processes and ``perf/data_wait``, a share of the time.

    Validation and checkpoints between two steps count as neither. More than a tenth of waiting is
    said once, with what helps.
    """

    _waited = _worked = _started = 0.0
    _images = _batches = 0
    _ended: float | None = None
    _advised = False

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Take the time since the last step ended as waiting."""
        now = time.perf_counter()
        if self._ended is not None:
            self._waited += now - self._ended
        self._started = now

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log every ``log_every_n_steps`` steps."""
        now = time.perf_counter()
        self._worked += now - self._started
        self._images += len(batch["target"]) * trainer.world_size
        self._batches += 1
        self._ended = now
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and (batch_idx + 1) % every == 0:
            self._log(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._ended = None

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Stop the clock."""
        self._ended = None

    def _log(self, trainer: Trainer, pl_module: LightningModule) -> None:
        total = self._waited + self._worked
        share = self._waited / total
        pl_module.log("perf/images_per_s", self._images / total, prog_bar=True)
        pl_module.log("perf/data_wait", share, prog_bar=True)
        if share > WAIT_LIMIT and self._batches >= SETTLED and not self._advised:
            self._advised = True
            loader: Any = trainer.train_dataloader
            _advise(share, loader.num_workers)
        self._waited = self._worked = 0.0
        self._images = 0


@rank_zero_only
def _advise(share: float, workers: int) -> None:
    now = f"{workers} loader processes do not keep up" if workers else "no process loads them ahead"
    logger.warning(
        "Training waits %.0f %% of its time for data: %s. Try data.workers=%d, data.cache=on (each "
        "image is decoded once only), or data.cache_dir=… on a faster disk.",
        *(100 * share, now, max(2, 2 * workers)),
    )
