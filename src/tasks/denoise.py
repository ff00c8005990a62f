"""Denoising: the network sees the noisy image and nothing else."""

from src.tasks import TASKS
from src.tasks.base import RestorationTask


@TASKS.register(paper="Mei et al., 2020, arXiv:2004.13824, Sec. 4.1")
class Denoise(RestorationTask):
    """Restore an image from its noisy version; the noisy image is the score to beat."""
