"""Which parameters of a network learn, and how fast: by patterns of their names."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.optim import Optimizer

from src.core.errors import ConfigError

FACTOR = "lr_factor"
"""Under this key a group of an optimizer has its factor on the learning rate."""


def fitting(names: Iterable[str], pattern: str, key: str) -> list[str]:
    """Return the names that fit a pattern.

    Raises:
        ConfigError: If none does, with the beginnings of those that there are.
    """
    names = list(names)
    chosen = [name for name in names if fnmatchcase(name, pattern)]
    if not chosen:
        groups = ", ".join(sorted({f"{name.partition('.')[0]}.*" for name in names}))
        raise ConfigError(f"{key}: {pattern!r} fits no parameter. There are: {groups}")
    return chosen


def freeze(net: nn.Module, patterns: Sequence[str]) -> int:
    """Keep the parameters whose names fit a pattern as they are; return how many numbers that is.

    Raises:
        ConfigError: If a pattern fits none, or nothing would be left to train.
    """
    names = dict(net.named_parameters())
    frozen = {name for pattern in patterns for name in fitting(names, pattern, "freeze")}
    if patterns and len(frozen) == len(names):
        raise ConfigError(f"freeze={list(patterns)} leaves nothing to train; name fewer.")
    for name in frozen:
        names[name].requires_grad_(False)
    return sum(names[name].numel() for name in frozen)


def groups_of(net: nn.Module, factors: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return groups of trainable parameters for an optimizer, that of all others first.

    Args:
        net: The network.
        factors: Pattern → factor on the learning rate; the first that fits a name counts.

    Raises:
        ConfigError: If a pattern fits no parameter, or a factor is not positive.
    """
    names = dict(net.named_parameters())
    chosen: dict[str, float] = {}
    for pattern, factor in factors.items():
        if not factor > 0:
            raise ConfigError(f"lr_factors: {pattern}={factor}; freeze=[{pattern}] keeps weights.")
        chosen = dict.fromkeys(fitting(names, pattern, "lr_factors"), factor) | chosen
    learning = [(name, each) for name, each in names.items() if each.requires_grad]
    return [
        {"params": parameters, FACTOR: factor}
        for factor in dict.fromkeys([1.0, *factors.values()])
        if (parameters := [each for name, each in learning if chosen.get(name, 1.0) == factor])
    ]


def scale_rates(optimizer: Optimizer) -> None:
    """Multiply the learning rate of each group by the group's factor."""
    for group in optimizer.param_groups:
        group["lr"] *= group[FACTOR]
