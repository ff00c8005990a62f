"""Demosaicing: the network sees one colour sample a pixel, and zeros."""

from src.training.tasks import TASKS
from src.training.tasks.base import RestorationTask


@TASKS.register(paper="Mei et al., 2020, arXiv:2004.13824, Sec. 4.2")
class Demosaic(RestorationTask):
    """Restore colour from a zero-filled Bayer mosaic, which itself is the score to beat."""
