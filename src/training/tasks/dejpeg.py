"""Removal of compression artefacts: the network sees a decoded JPEG."""

from src.training.tasks import TASKS
from src.training.tasks.base import RestorationTask


@TASKS.register(paper="Mei et al., 2020, arXiv:2004.13824, Sec. 4.3")
class Dejpeg(RestorationTask):
    """Restore an image from its JPEG, which itself is the score to beat."""
