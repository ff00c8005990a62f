"""Linear warm-up and one cosine (Loshchilov and Hutter, 2017, arXiv:1608.03983, Eq. 5)."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from src.optim.warmup import linear_warmup


class WarmupCosine(LambdaLR):
    """Scale each learning rate up to 1 in ``warmup_steps``, then down to ``floor`` by a cosine.

    Args:
        optimizer: Its groups' learning rates are the peak.
        total_steps: Optimizer steps at which ``floor`` is reached and kept; a run that is shorter
            than the warm-up ends within it.
        warmup_steps: Optimizer steps of linear rise; 0 for none.
        floor: Last factor, in [0, 1].
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        total_steps: int,
        warmup_steps: int = 0,
        floor: float = 0.0,
    ) -> None:
        def factor(step: int) -> float:
            if step < warmup_steps:
                return linear_warmup(step, warmup_steps)
            progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
            return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))

        super().__init__(optimizer, factor)
