"""Every training ends with a validation, wherever its interval falls."""

import math
from typing import Any

import lightning as L  # noqa: N812


def validation_due(trainer: L.Trainer, batch_idx: int) -> bool:
    """Say whether a validation belongs after this batch: by the interval, or as the last one."""
    by_interval = (batch_idx + 1) % (trainer.val_check_batch or math.inf) == 0
    return by_interval or 0 < trainer.max_steps <= trainer.global_step


def validation_follows(trainer: L.Trainer, batch_idx: int) -> bool:
    """Say whether one is due and there is something to score."""
    return (
        validation_due(trainer, batch_idx)
        and trainer.enable_validation
        and sum(trainer.num_val_batches) > 0
    )


class FinalValidation(L.Callback):
    """Validate after the last step too, so that each run that ends has a score and a best state.

    Lightning validates once where it is asked to stop; where the interval asks for the same
    validation, there is still one.
    """

    def on_train_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Count logged steps as optimizer steps, however the run has come to this step.

        Lightning takes every checkpoint for one that was saved at its interval. A run that goes on
        from another one, from before the first step or after a last one, would log under numbers
        that are one off.
        """
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step  # noqa: SLF001

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Ask for it after the last step."""
        if trainer.global_step >= trainer.max_steps and validation_follows(trainer, batch_idx):
            trainer.should_stop = True
