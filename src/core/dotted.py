"""Dotted names of classes and functions, as ``_target_`` in YAML has them."""

import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any

from src.core.errors import ConfigError, did_you_mean


def locate(dotted: str) -> Callable[..., Any]:
    """Import what ``dotted`` names, e.g. ``torch.optim.Adam``.

    Raises:
        ConfigError: If there is no such thing, with the nearest names; or if importing it needs a
            package that is not installed.
    """
    parts = dotted.split(".")
    found: Any = None
    depth = 0
    for depth in range(1, len(parts) + 1):
        module = _import_module(".".join(parts[:depth]), wanted=dotted)
        if module is None:
            depth -= 1  # noqa: PLW2901
            break
        found = module
    if found is None:
        raise ConfigError(f"{dotted}: there is no package {parts[0]!r}; is it installed?")
    for position in range(depth, len(parts)):
        holder = ".".join(parts[:position])
        if not hasattr(found, parts[position]):
            hint = did_you_mean(parts[position], _public_names(found))
            raise ConfigError(f"{dotted}: {holder} has no {parts[position]!r}. {hint}")
        found = getattr(found, parts[position])
    if not callable(found):
        raise ConfigError(f"{dotted} is a {type(found).__name__}; a class or function is needed.")
    named: Callable[..., Any] = found
    return named


def _import_module(name: str, wanted: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return None
        raise ConfigError(
            f"{wanted} needs the package {error.name!r}, which is not installed.\n"
            f"  Install it, or choose another option."
        ) from error


def _public_names(holder: object) -> list[str]:
    names = [name for name in dir(holder) if not name.startswith("_")]
    if isinstance(holder, ModuleType) and hasattr(holder, "__path__"):
        names += [info.name for info in pkgutil.iter_modules(holder.__path__)]
    return names
