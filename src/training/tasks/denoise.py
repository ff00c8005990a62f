"""Denoising: the network sees the noisy image, and the noise level where it asks for it."""

from collections.abc import Mapping

import torch
from torch import Tensor

from src.core.errors import ConfigError
from src.core.types import Pair
from src.inference.restorer import takes_noise_level, with_noise_level
from src.training.tasks import TASKS
from src.training.tasks.base import RestorationTask


@TASKS.register(paper="Mei et al., 2020, arXiv:2004.13824, Sec. 4.1")
class Denoise(RestorationTask):
    """Restore an image from its noisy version; the noisy image is the score to beat.

    A network of one input channel more than it returns is given the noise level as that channel:
    σ / 255, as it was drawn for each image, at every pixel (FFDNet; Zhang et al., 2018,
    arXiv:1710.04026, Sec. III-B).
    """

    def setup(self, stage: str) -> None:
        """Refuse, before any data is read, a network whose noise level is not known."""
        if takes_noise_level(self.restorer.net) and not hasattr(self.degradation, "with_level"):
            raise ConfigError(
                f"{type(self.net).__name__} with in_channels={self.restorer.net.in_channels} is "
                "told the noise level, and this degradation has none. Take degradation=gaussian, "
                "or model.in_channels=${io.in_channels} with model.sigma=<level>."
            )

    def spoil(self, clean: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        """Return the noisy image of a clean one, and its noise level if the network is told it."""
        if not takes_noise_level(self.restorer.net):
            return super().spoil(clean, generator)
        noisy, level = self.degradation.with_level(clean, generator)  # type: ignore[operator]
        return {"input": noisy, "level": level}

    def net_input(self, pair: Pair) -> Tensor:
        """Return the noisy image, with a map of its σ / 255 for a network that takes one."""
        if not takes_noise_level(self.restorer.net):
            return pair["input"]
        return with_noise_level(pair["input"], pair["level"])
