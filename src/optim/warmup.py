"""The rise that a learning-rate schedule may begin with."""


def linear_warmup(step: int, steps: int) -> float:
    """Return the factor of optimizer step ``step``: from 1/steps to 1, which it keeps.

    Args:
        step: Optimizer steps done.
        steps: Length of the rise; 0 for none.
    """
    return (step + 1) / steps if step < steps else 1.0
