"""`trainer.max_time`: how long this start of a run may train, before it saves and ends."""

import logging
from typing import Any

import lightning as L  # noqa: N812
from lightning.pytorch.callbacks import Timer

from src.training.callbacks.final_validation import validation_due
from src.training.callbacks.graceful_stop import stop_after_step

logger = logging.getLogger(__name__)


class TimeLimit(Timer):
    """Stop after a whole step when the time is up, with everything saved.

    Lightning's own timer counts on through resumes, so that a run it has stopped would stop again
    at once for ever; and it validates before it stops, which no uninterrupted run does there. It is
    not made where this one is.
    """

    def on_fit_start(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Do nothing: the time begins with the first step."""

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Ask the trainer to stop; LastCheckpoint runs after this and saves."""
        done = batch_idx + 1
        if done % trainer.accumulate_grad_batches:
            return
        left = self.time_remaining() or 0.0
        # One process may see the end a step before another, and all must stop after the same step.
        over = trainer.strategy.reduce_boolean_decision(left <= 0, all=False)
        if over and not validation_due(trainer, batch_idx):
            stop_after_step(trainer)
            if trainer.is_global_zero:
                logger.info("The time that trainer.max_time gives is up.")

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: each start has the whole time."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up nothing."""
