"""What degradations draw: numbers of one generator, noted by name for whoever keeps a record."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch

Drawn = dict[str, float | str]

_NOTES: ContextVar[Drawn | None] = ContextVar("notes", default=None)
_INSIDE: ContextVar[tuple[str, ...]] = ContextVar("inside", default=())


@contextmanager
def noted() -> Iterator[Drawn]:
    """Give a mapping that has, when the block is done, all that was drawn in it by name.

    Names are those of the steps, from the outermost, and of what was drawn: ``blur.sigma``.
    """
    notes: Drawn = {}
    token = _NOTES.set(notes)
    try:
        yield notes
    finally:
        _NOTES.reset(token)


@contextmanager
def inside(step: str) -> Iterator[None]:
    """Put ``step`` before the names of what is drawn in the block."""
    token = _INSIDE.set((*_INSIDE.get(), step))
    try:
        yield
    finally:
        _INSIDE.reset(token)


def note(name: str, value: float | str | Callable[[], float | str]) -> None:
    """Keep what was drawn, where somebody keeps a record; a function is called only then."""
    notes = _NOTES.get()
    if notes is not None:
        notes[".".join((*_INSIDE.get(), name))] = value() if callable(value) else value


def uniform(
    generator: torch.Generator | None, between: Sequence[float], name: str, *, log: bool = False
) -> float:
    """Return a number drawn between two, and note it.

    Args:
        generator: None is the global one.
        between: Low and high.
        name: What it is.
        log: Whether the number's logarithm is uniform.
    """
    low, high = (math.log(bound) for bound in between) if log else between
    value = low + (high - low) * _unit(generator)
    value = math.exp(value) if log else value
    note(name, value)
    return value


def whole(generator: torch.Generator | None, between: Sequence[int], name: str) -> int:
    """Return a whole number from low to high, both included, and note it."""
    low, high = between
    value = min(low + int(_unit(generator) * (high - low + 1)), high)
    note(name, value)
    return value


def happens(generator: torch.Generator | None, probability: float) -> bool:
    """Say whether what has this probability happens; something is drawn in any case."""
    return _unit(generator) < probability


def choose(generator: torch.Generator | None, weights: Mapping[str, float], name: str) -> str:
    """Return one of the keys, drawn by their weights, and note it."""
    reached = _unit(generator) * sum(weights.values())
    possible = [key for key, weight in weights.items() if weight]
    ends = itertools.accumulate(weights[key] for key in possible)
    key = next(
        (key for key, end in zip(possible, ends, strict=True) if reached < end), possible[-1]
    )
    note(name, key)
    return key


def check_range(name: str, given: Sequence[float], least: float = 0.0) -> tuple[float, float]:
    """Return low and high.

    Raises:
        ValueError: If it is not [low, high] with ``least`` <= low <= high.
    """
    if len(given) != 2 or not least <= given[0] <= given[1]:
        raise ValueError(
            f"{name} must be [low, high] with {least:g} <= low <= high, not {list(given)}; for one "
            "value write it twice."
        )
    return given[0], given[1]


def check_weights(
    name: str, given: Mapping[str, float], allowed: Sequence[str] | None = None
) -> dict[str, float]:
    """Return weights of choices as they are.

    Raises:
        ValueError: If there is none, one is negative, their sum is 0, or a key is not allowed.
    """
    unknown = [key for key in given if allowed is not None and key not in allowed]
    if unknown or not given or min(given.values()) < 0 or not sum(given.values()):
        choices = "" if allowed is None else f" of {', '.join(allowed)}"
        raise ValueError(
            f"{name} must give choices{choices} weights of 0 or more, one of them above 0, not "
            f"{dict(given)}."
        )
    return dict(given)


def _unit(generator: torch.Generator | None) -> float:
    device = "cpu" if generator is None else generator.device
    return float(torch.rand((), generator=generator, device=device, dtype=torch.float64))
