"""What must be known of a published network to read its weights."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from src.weights.published.sizes import wrong

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
    """How one published network is recognised and named.

    Attributes:
        describe: Returns the network that tensors under the authors' names are those of.
        names: Maps all of our names to the authors'.
        scales: The scales among which the user must choose, where the tensors do not tell.
        select: Returns, of the tensors of a file for several scales, those of the one chosen.
    """

    describe: Callable[[Mapping[str, Tensor]], Node]
    names: Callable[[Iterable[str]], Names]
    scales: tuple[int, ...] = ()
    select: Callable[[Mapping[str, Tensor], int | None], Mapping[str, Tensor]] = _all


def renamed(ours: Iterable[str], rules: Rules) -> Names:
    """Return the authors' name of each of our names by the first rule whose pattern begins it."""
    return {name: (_renamed(name, rules),) for name in ours}


def _renamed(name: str, rules: Rules) -> str:
    for pattern, theirs in rules:
        result, found = re.subn(rf"^{pattern}", theirs, name)
        if found:
            return result
    return name


def numbers(tensors: Iterable[str], pattern: str, what: str) -> list[int]:
    """Return the numbers in the names that match ``pattern``, sorted, each once.

    Args:
        tensors: The authors' names.
        pattern: A regular expression with one group, for the number.
        what: What the names would look like, for messages.

    Raises:
        CheckpointError: If no name matches.
    """
    found = {int(match[1]) for name in tensors if (match := re.fullmatch(pattern, name))}
    if not found:
        raise wrong(f"none is called {what}")
    return sorted(found)
