"""Ctrl-C stops after the running step, with everything saved; twice stops at once."""

import math
import signal
from types import FrameType
from typing import Any

import lightning as L  # noqa: N812
from lightning.pytorch.utilities import rank_zero_info


class GracefulStop(L.Callback):
    """Turn the first interrupt into a stop at the end of the step.

    An interrupt in the middle of an optimizer step would leave half-updated weights; so the step is
    finished, ``last.ckpt`` is written by LastCheckpoint, and training ends. A second
    interrupt is Python's own.

    Attributes:
        interrupted: Whether a stop was asked for.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._previous: Any = None
        self._trainer: L.Trainer | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take over Ctrl-C while training runs."""
        self._trainer = trainer
        self._previous = signal.signal(signal.SIGINT, self._on_interrupt)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Ask the trainer to stop after a whole step; LastCheckpoint runs after this and saves.

        Lightning would validate once more before it stops, which takes time and leaves a row of
        metrics that no uninterrupted run has; but a validation that is due now takes place.
        """
        done = batch_idx + 1
        if done % trainer.accumulate_grad_batches:
            return
        # One process may hear of it a step before another, and all must stop after the same step.
        self.interrupted = trainer.strategy.reduce_boolean_decision(self.interrupted, all=False)
        validation_due = done % (trainer.val_check_batch or math.inf) == 0
        if self.interrupted and not validation_due:
            trainer.should_stop = True
            trainer.limit_val_batches = 0

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Give Ctrl-C back."""
        if self._trainer is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._trainer = None

    def _on_interrupt(self, signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, self._previous)
        self.interrupted = True
        rank_zero_info("\nStopping after this step (Ctrl-C again: at once, losing it).")
