"""Ctrl-C and a scheduler's signals stop after the running step, with everything saved."""

import logging
import signal
from types import FrameType
from typing import Any

import lightning as L  # noqa: N812
import torch
from lightning.pytorch.utilities import rank_zero_only

from src.core.preemption import heeded
from src.training.callbacks.final_validation import validation_due

logger = logging.getLogger(__name__)


@rank_zero_only
def _say(text: str) -> None:
    """Tell the user; Lightning's own way of doing so is silenced with its advice."""
    logger.info(text)


def stop_after_step(trainer: L.Trainer) -> None:
    """Let training end after the running step, leaving what a run leaves that goes on here.

    Lightning would validate once more, which takes time, and log a step that is not due: rows of
    metrics that no uninterrupted run has.
    """
    trainer.should_stop = True
    trainer.limit_val_batches = 0
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    if every and trainer.global_step % every:
        trainer.log_every_n_steps = 0  # type: ignore[attr-defined]


class GracefulStop(L.Callback):
    """Turn the first interrupt into a stop at the end of the step.

    An interrupt in the middle of an optimizer step would leave half-updated weights; so the step is
    finished, ``last.ckpt`` is written by LastCheckpoint, and training ends. A second Ctrl-C is
    Python's own; a scheduler may repeat its signal, which changes nothing.

    Attributes:
        signum: The signal for which all processes have agreed to stop; 0 while there is none.
    """

    def __init__(self) -> None:
        self.signum = 0
        # Written by the handler alone: a signal may come while the processes are agreeing, and what
        # they then agree on does not hold it yet.
        self._asked = 0
        self._previous: dict[int, Any] = {}

    @property
    def interrupted(self) -> bool:
        """Whether all are to stop."""
        return self.signum != 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take over the signals while training runs."""
        for signum in (signal.SIGINT, *heeded()):
            self._previous[signum] = signal.signal(signum, self._on_signal)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Ask the trainer to stop after a whole step; LastCheckpoint runs after this and saves.

        A validation that is due now takes place.
        """
        done = batch_idx + 1
        if done % trainer.accumulate_grad_batches:
            return
        # One process may hear of it a step before another, and all must stop after the same step,
        # for the same reason.
        asked = torch.tensor(self._asked, device=trainer.strategy.root_device)
        self.signum = int(trainer.strategy.reduce(asked, reduce_op="max"))
        if self.interrupted and not validation_due(trainer, batch_idx):
            stop_after_step(trainer)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Give the signals back to whoever had them."""
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        self._previous = {}

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGINT:
            signal.signal(signum, self._previous[signum])
            _say("Stopping after this step (Ctrl-C again: at once, losing it).")
        elif not self._asked:
            _say(f"{signal.Signals(signum).name}: saving after this step, then ending.")
        self._asked = self._asked or signum
