"""How fast training is, and how much of the time it waits for data."""

import logging
import time
from typing import Any

import lightning as L  # noqa: N812
from lightning.pytorch.utilities import rank_zero_only

logger = logging.getLogger(__name__)

WAIT_LIMIT = 0.10
SETTLED = 20
"""Batches until loader processes have started and filled their queues."""


class Throughput(L.Callback):
    """Log ``perf/images_per_s`` of all processes and ``perf/data_wait``, a share of the time.

    Validation and checkpoints between two steps count as neither. More than a tenth of waiting is
    said once, with what helps.
    """

    def __init__(self) -> None:
        self._waited = self._worked = self._started = 0.0
        self._images = self._batches = 0
        self._ended: float | None = None
        self._told = False

    def on_train_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Take the time since the last step ended as waiting."""
        now = time.perf_counter()
        if self._ended is not None:
            self._waited += now - self._ended
        self._started = now

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
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

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock."""
        self._ended = None

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Stop the clock."""
        self._ended = None

    def _log(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        total = self._waited + self._worked
        share = self._waited / total
        pl_module.log("perf/images_per_s", self._images / total, prog_bar=True)
        pl_module.log("perf/data_wait", share, prog_bar=True)
        if share > WAIT_LIMIT and self._batches >= SETTLED and not self._told:
            self._told = True
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
