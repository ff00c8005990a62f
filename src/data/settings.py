"""Checks of settings, each with a message that names the key."""

from collections.abc import Sequence
from typing import TypeVar

from src.core.errors import ConfigError, did_you_mean

T = TypeVar("T")


def check_choice(name: str, value: object, allowed: Sequence[T]) -> T:
    """Return the member of ``allowed`` that equals ``value``; ConfigError if there is none."""
    for choice in allowed:
        if choice == value:
            return choice
    near = did_you_mean(str(value), map(str, allowed))
    raise ConfigError(f"data.{name}={value} is not possible. {near}")


def check_whole(name: str, value: object, *, least: int) -> int:
    """Return ``value``; ConfigError unless it is a whole number and at least ``least``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"data.{name}={value} must be a whole number, at least {least}.")
    return value


def check_gigabytes(name: str, value: float | None) -> int | None:
    """Return a size of ``value`` · 10⁹ bytes, or None; ConfigError unless it is at least 0."""
    if value is None:
        return None
    if not value >= 0:
        raise ConfigError(f"data.{name}={value} must be at least 0 (in 10⁹ bytes), or null.")
    return round(value * 1e9)


def check_switch(name: str, value: str | bool) -> bool:
    """Return whether a switch is on.

    YAML reads an unquoted ``on`` as true, the command line as text; both mean the same here.

    Raises:
        ConfigError: Unless ``value`` is on, off, true or false.
    """
    if isinstance(value, bool):
        return value
    return check_choice(name, value, ("on", "off")) == "on"
