"""Exemplar: image restoration experiments with self-similarity attention.

From Python, ``restore(image, "denoise")`` and ``load("zoo/denoise")``; both import torch only when
they are first asked for.
"""

from typing import TYPE_CHECKING, Any

from src.core import __version__

if TYPE_CHECKING:
    from src.app.python import load, restore

__all__ = ["__version__", "load", "restore"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import what is asked for by name only now: commands start without it."""
    if name not in {"load", "restore"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from src.app import python

    return getattr(python, name)
