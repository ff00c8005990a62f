"""What must be known of a published network to read its weights: its size and its names."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from src.core.errors import CheckpointError

Node = dict[str, Any]
"""A network as in conf/model: ``_target_`` and constructor arguments, plain."""

Names = dict[str, tuple[str, ...]]
"""Our name of a tensor to the authors' names of it; several where they store it twice."""

Rules = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]
"""Patterns for our names, and what the authors call what matches; the first that fits counts."""


def _all(tensors: Mapping[str, Tensor], scale: int | None) -> Mapping[str, Tensor]:
    return tensors


@dataclass(frozen=True)
class Layout:
    """How one published network is recognised and named."""

    # Returns the network that tensors under the authors' names are those of.
    describe: Callable[[Mapping[str, Tensor]], Node]
    names: Callable[[Iterable[str]], Names]  # maps all of our names to the authors'
    # The scales among which the user must choose, where the tensors do not tell.
    scales: tuple[int, ...] = ()
    # Returns, of the tensors of a file for several scales, those of the one chosen.
    select: Callable[[Mapping[str, Tensor], int | None], Mapping[str, Tensor]] = _all


def renamed(ours: Iterable[str], rules: Rules) -> Names:
    """Return the authors' name of each of our names by the first rule whose pattern begins it."""
    return {name: (_renamed(name, rules),) for name in ours}


def _renamed(name: str, rules: Rules) -> str:
    for pattern, theirs in rules:
        result, count = re.subn(rf"^{pattern}", theirs, name)
        if count:
            return result
    return name


def numbers(tensors: Iterable[str], pattern: str, what: str) -> list[int]:
    """Return the numbers in the names that match ``pattern``, sorted, each once.

    They are its one group; a message says what the names would look like: ``what``.

    Raises:
        CheckpointError: If no name matches.
    """
    matching = {int(match[1]) for name in tensors if (match := re.fullmatch(pattern, name))}
    if not matching:
        raise wrong(f"none is called {what}")
    return sorted(matching)


def shapes_of(tensors: Mapping[str, Tensor], *names: str) -> list[torch.Size]:
    """Return the shapes of ``names``.

    Raises:
        CheckpointError: Naming what is missing, or has too few dimensions.
    """
    missing = [name for name in names if name not in tensors]
    if missing:
        raise CheckpointError(
            f"The tensors do not fit: missing {', '.join(missing)}, from which the size of the "
            "network is read. Is this the right architecture?"
        )
    flat = [name for name in names if tensors[name].dim() != 4]
    if flat:
        raise wrong(f"{', '.join(flat)} is no weight of a convolution")
    return [tensors[name].shape for name in names]


def wrong(reason: str) -> CheckpointError:
    """Return the error that says why tensors are not those of a published network."""
    return CheckpointError(f"The tensors do not fit: {reason}.")
