"""Learning-rate schedules, each with a linear warm-up."""

import math
from bisect import bisect_right
from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class MultiStep(LambdaLR):
    """Multiply each learning rate by ``gamma`` at each milestone, after an optional warm-up.

    Args:
        optimizer: Its groups' learning rates are the peak.
        milestones: Optimizer steps, rising.
        gamma: Factor at each of them, above 0.
        warmup_steps: Optimizer steps of linear rise at the beginning; 0 for none.

    Raises:
        ValueError: If the milestones do not rise or ``gamma`` is not positive.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        milestones: Sequence[int],
        gamma: float = 0.5,
        warmup_steps: int = 0,
    ) -> None:
        steps = list(milestones)
        if steps != sorted(set(steps)):
            raise ValueError(f"milestones={steps} must rise, e.g. [200000, 400000].")
        if gamma <= 0:
            raise ValueError(f"gamma={gamma} must be above 0; 0.5 halves the learning rate.")

        def factor(step: int) -> float:
            return linear_warmup(step, warmup_steps) * gamma ** bisect_right(steps, step)

        super().__init__(optimizer, factor)


class WarmupCosine(LambdaLR):
    """Scale each learning rate up to 1 in ``warmup_steps``, then down to ``floor`` by a cosine.

    Loshchilov and Hutter, 2017, arXiv:1608.03983, Eq. 5.

    Args:
        optimizer: Its groups' learning rates are the peak.
        total_steps: Optimizer steps at which ``floor`` is reached and kept; a run that is shorter
            than the warm-up ends within it.
        warmup_steps: Optimizer steps of linear rise; 0 for none.
        floor: Last factor, in [0, 1].
    """

    def __init__(
        self, optimizer: Optimizer, *, total_steps: int, warmup_steps: int = 0, floor: float = 0.0
    ) -> None:
        def factor(step: int) -> float:
            if step < warmup_steps:
                return linear_warmup(step, warmup_steps)
            progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
            return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))

        super().__init__(optimizer, factor)


class RangeTest(LambdaLR):
    """Raise each learning rate from a small one to its peak, by the same factor at every step.

    Where the loss falls fastest is a rate to train with (Smith, 2017, arXiv:1506.01186, Sec. 3.3).

    Args:
        optimizer: Its groups' learning rates are the peak, which the last step has.
        total_steps: Optimizer steps of the test.
        start: The first learning rate over the peak.

    Raises:
        ValueError: If ``start`` is not between 0 and 1.
    """

    def __init__(self, optimizer: Optimizer, *, total_steps: int, start: float = 1e-6) -> None:
        if not 0 < start < 1:
            raise ValueError(f"start={start} must be between 0 and 1, e.g. 1e-6.")
        super().__init__(
            optimizer, lambda step: start ** max(1 - step / max(total_steps - 1, 1), 0)
        )


def linear_warmup(step: int, steps: int) -> float:
    """Return the factor of optimizer step ``step``: from 1/steps to 1, which it keeps.

    Args:
        step: Optimizer steps done.
        steps: Length of the rise; 0 for none.
    """
    return (step + 1) / steps if step < steps else 1.0
