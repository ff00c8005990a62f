"""Which learning rate to take: the loss of each step while the rate rises."""

import logging
import math
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from src.core.errors import ConfigError
from src.core.files import write_csv
from src.optim.schedules import RangeTest

logger = logging.getLogger(__name__)

_MEMORY = 0.9  # of the running mean of the losses
_LOST = 4.0  # a loss so many times the least has left what can be trained


class LearningRateFinder(Callback):
    """Note rate and loss of each step, stop where the loss explodes, and say what was found.

    To be used with :class:`src.optim.schedules.RangeTest`.

    Args:
        path: The CSV of rates and losses.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.rates: list[float] = []
        self.losses: list[float] = []  # running means
        self._mean = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a schedule that is no test of rates, or too short; ConfigError."""
        (schedule,) = (config.scheduler for config in trainer.lr_scheduler_configs)
        test = isinstance(schedule, RangeTest) and schedule.base_lrs[0] > 0
        if not test or trainer.max_steps < 3 or trainer.global_step:
            raise ConfigError(
                "debug=lr_finder takes the rate through all values at once: leave out scheduler=… "
                "and resume=…, and give optimizer.lr above 0, trainer.max_steps of 3 or more."
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the step, and stop the test where its loss is lost."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        loss: Tensor = trainer.callback_metrics["train/loss"]
        rate: Tensor = trainer.callback_metrics["train/lr"]
        self._mean = _MEMORY * self._mean + (1 - _MEMORY) * float(loss)
        self.rates.append(float(rate))
        self.losses.append(self._mean / (1 - _MEMORY ** (len(self.rates))))
        if self.losses[-1] > _LOST * min(self.losses):
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the table, and say where the loss fell fastest and where it was least."""
        if not trainer.is_global_zero:
            return
        rows = zip(self.rates, self.losses, strict=True)
        write_csv(self.path, [("learning_rate", "loss"), *rows])
        steepest = self.steepest()
        if steepest is None:
            logger.warning(
                "Learning rate: the loss did not fall at any that was tried, up to %.2g; %s "
                "optimizer.lr, or raise trainer.max_steps. %s has all.",
                *(self.rates[-1], "lower" if trainer.should_stop else "raise", self.path),
            )
            return
        least = self.rates[self.losses.index(min(self.losses))]
        logger.info(
            "Learning rate: the loss fell fastest at %.2g and was least at %.2g, in %d steps; try "
            "optimizer.lr=%.1g, with a warm-up up to the former. %s has all.",
            *(steepest, least, len(self.rates), steepest, self.path),
        )

    def steepest(self) -> float | None:
        """Return the rate at which the loss fell fastest by its logarithm; None if it never did.

        The first tenth is passed over: there the running mean still follows single batches.
        """
        if len(self.rates) < 3:
            return None
        losses = torch.tensor(self.losses, dtype=torch.float64)
        logs = torch.tensor([math.log(rate) for rate in self.rates], dtype=torch.float64)
        (slope,) = torch.gradient(losses, spacing=(logs,))
        first = len(slope) // 10
        lowest = first + int(slope[first:].argmin())
        return self.rates[lowest] if slope[lowest] < 0 else None
