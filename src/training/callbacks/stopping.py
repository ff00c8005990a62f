"""When training stops: after its last step, its time, Ctrl-C or a scheduler's signal.

Always after a whole step and with everything saved; the last step is validated.
"""

import _thread
import logging
import math
import signal
from collections.abc import Mapping
from types import FrameType
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities import rank_zero_only

from src.core.preemption import heeded, lost

logger = logging.getLogger(__name__)


@rank_zero_only
def _say(text: str) -> None:
    """Tell the user; Lightning's own way of doing so is silenced with its advice."""
    logger.info(text)


def _say_soon(text: str) -> None:
    """Tell the user from a thread of its own, which waits for whoever writes.

    A handler runs in the midst of whatever the process does, also of writing a line; Python refuses
    to write another one within it. A lock of ``threading`` may be taken at that moment too, hence
    the bare thread.
    """
    _thread.start_new_thread(_say, (text,))


def validation_due(trainer: Trainer, batch_idx: int) -> bool:
    """Say whether a validation belongs after this batch: by the interval, or as the last one."""
    by_interval = (batch_idx + 1) % (trainer.val_check_batch or math.inf) == 0
    return by_interval or 0 < trainer.max_steps <= trainer.global_step


def validation_follows(trainer: Trainer, batch_idx: int) -> bool:
    """Say whether one is due and there is something to score."""
    possible = trainer.enable_validation and sum(trainer.num_val_batches) > 0
    return validation_due(trainer, batch_idx) and possible


def stop_after_step(trainer: Trainer) -> None:
    """Let training end after the running step, leaving what a run leaves that goes on here.

    Lightning would validate once more, which takes time, and log a step that is not due: rows of
    metrics that no uninterrupted run has.
    """
    trainer.should_stop = True
    trainer.limit_val_batches = 0
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    if every and trainer.global_step % every:
        trainer.log_every_n_steps = 0  # type: ignore[attr-defined]


class FinalValidation(Callback):
    """Validate after the last step too, so that each run that ends has a score and a best state.

    Lightning validates once where it is asked to stop; where the interval asks for the same
    validation, there is still one.
    """

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count logged steps as optimizer steps, however the run has come to this step.

        Lightning takes every checkpoint for one that was saved at its interval. A run that goes on
        from another one, from before the first step or after a last one, would log under numbers
        that are one off.
        """
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step  # noqa: SLF001

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ask for it after the last step."""
        if trainer.global_step >= trainer.max_steps and validation_follows(trainer, batch_idx):
            trainer.should_stop = True


class GracefulStop(Callback):
    """Turn the first interrupt into a stop at the end of the step.

    An interrupt in the middle of an optimizer step would leave half-updated weights; so the step is
    finished, ``last.ckpt`` is written by LastCheckpoint, and training ends. A second Ctrl-C is
    Python's own; a scheduler may repeat its signal, which changes nothing.

    Attributes:
        signum: The signal for which all processes have agreed to stop; 0 while there is none.
    """

    signum = 0
    # Written by the handler alone: a signal may come while the processes are agreeing, and what
    # they then agree on does not contain it yet.
    _asked = 0
    _previous: Mapping[int, Any] = {}

    @property
    def interrupted(self) -> bool:
        """Whether all are to stop."""
        return self.signum != 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over the signals while training runs."""
        self._asked = lost()
        self._previous = previous = {}
        for signum in (signal.SIGINT, *heeded()):
            previous[signum] = signal.signal(signum, self._on_signal)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ask the trainer to stop after a whole step; LastCheckpoint runs after this and saves.

        A validation that is due now takes place.
        """
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        self._agree(trainer)
        if self.interrupted and not validation_due(trainer, batch_idx):
            stop_after_step(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hear of what came in the last validation too: no other job is to begin after this one."""
        self._agree(trainer)

    def _agree(self, trainer: Trainer) -> None:
        """Agree on the signal.

        One process may hear of it a step before another, and all must stop after the same step, for
        the same reason.
        """
        asked = torch.tensor(self._asked, device=trainer.strategy.root_device)
        self.signum = int(trainer.strategy.reduce(asked, reduce_op="max"))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the signals back to whoever had them."""
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        self._previous = {}

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGINT:
            signal.signal(signum, self._previous[signum])
            _say_soon("Stopping after this step (Ctrl-C again: at once, losing it).")
        elif not self._asked:
            _say_soon(f"{signal.Signals(signum).name}: saving after this step, then ending.")
        self._asked = self._asked or signum


class TimeLimit(Timer):
    """Stop after a whole step when the time of ``trainer.max_time`` is up, with everything saved.

    Lightning's own timer counts on through resumes, so that a run it has stopped would stop again
    at once for ever; and it validates before it stops, which no uninterrupted run does there. It is
    not made where this one is.
    """

    def on_fit_start(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the time begins with the first step."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ask the trainer to stop; LastCheckpoint runs after this and saves."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        over = (self.time_remaining() or 0.0) <= 0
        # One process may see the end a step before another, and all must stop after the same step.
        over = trainer.strategy.reduce_boolean_decision(over, all=False)
        if over and not validation_due(trainer, batch_idx):
            stop_after_step(trainer)
            _say("The time that trainer.max_time gives is up.")

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: each start has the whole time."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up nothing."""
