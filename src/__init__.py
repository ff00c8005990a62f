"""Exemplar: image restoration experiments with self-similarity attention."""

from src.core import __version__

__all__ = ["__version__"]
