"""A moving average of the weights: it is scored, saved and used; training goes on without it."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

logger = logging.getLogger(__name__)


class Ema(WeightAveraging):
    """Average the weights over the steps, the latest most (Polyak and Juditsky, 1992).

    After step n the average is d · average + (1 − d) · weights with d = min(decay, (1+n) / (10+n)):
    the warm-up lets an average over a thousand steps forget the random start of a short run.
    Statistics of batch norm are averaged like weights. What is validated, saved, and loaded by
    evaluate and predict is the average; a resumed run goes on exactly, with both.

    Args:
        decay: Share of the old average that a step keeps, in [0, 1).

    Raises:
        ValueError: If ``decay`` is out of range.
    """

    def __init__(self, *, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay={decay} must be at least 0 and below 1, e.g. 0.999.")
        super().__init__(use_buffers=True, multi_avg_fn=partial(_update, decay))

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take up weights and average; a run that had no average begins one."""
        if self._average_model is None or "current_model_state" in checkpoint:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
        else:
            logger.info("This run had no average of its weights; it begins now.")
            self._average_model.module.load_state_dict(checkpoint["state_dict"])


def _update(
    decay: float, averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor
) -> None:
    """Update the average in place; ``count`` is how many sets of weights are in it."""
    steps = int(count)
    update = get_ema_multi_avg_fn(min(decay, (1 + steps) / (10 + steps)))  # type: ignore[no-untyped-call]
    update(averaged, current, count)
