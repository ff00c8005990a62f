"""Exemplar: image restoration experiments with self-similarity attention."""

__version__ = "0.1.0"
