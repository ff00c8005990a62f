"""How the processes of a training work together, as conf/trainer/ names it."""

from datetime import timedelta

from lightning.pytorch.strategies import DDPStrategy

from src.core.errors import ConfigError
from src.training.sharded import ShardedStrategy

PATIENCE_S = 600.0
"""Seconds that a process waits for the others before it gives them up."""


def ddp(*, patience_s: float = PATIENCE_S) -> DDPStrategy:
    """Return the strategy by which each process has the whole network and gradients are averaged.

    Args:
        patience_s: Seconds without an answer from the other processes after which a run ends; more
            than the longest step, and than the time by which validations may differ.

    Raises:
        ConfigError: If it is not above 0.
    """
    return DDPStrategy(timeout=_time(patience_s))


def fsdp(*, patience_s: float = PATIENCE_S) -> ShardedStrategy:
    """Return the strategy by which processes share out weights, gradients and optimizer state.

    Checkpoints are whole ones all the same, so that any other number of processes can read them.

    Args:
        patience_s: As of :func:`ddp`.

    Raises:
        ConfigError: If it is not above 0.
    """
    return ShardedStrategy(timeout=_time(patience_s))


def _time(patience_s: float) -> timedelta:
    if patience_s <= 0:
        raise ConfigError(f"trainer.strategy.patience_s={patience_s} must be above 0, in seconds.")
    return timedelta(seconds=patience_s)
