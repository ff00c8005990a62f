"""Learning rates that fall by a factor at given steps, after an optional linear warm-up."""

from bisect import bisect_right
from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from src.optim.warmup import linear_warmup


class MultiStep(LambdaLR):
    """Multiply each learning rate by ``gamma`` at each milestone.

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
