"""Denoising: the network sees the noisy image, and the noise level where it asks for it."""

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
    σ / 255 at every pixel (FFDNet; Zhang et al., 2018, arXiv:1710.04026, Sec. III-B).
    """

    def setup(self, stage: str) -> None:
        """Refuse, before any data is read, a network whose noise level is not known."""
        if takes_noise_level(self.restorer.net):
            self._level()

    def net_input(self, pair: Pair) -> Tensor:
        """Return the noisy image, with a map of σ / 255 for a network that takes one.

        Raises:
            ConfigError: If the network takes one and the level is not known.
        """
        noisy = pair["input"]
        takes_level = takes_noise_level(self.restorer.net)
        return with_noise_level(noisy, self._level()) if takes_level else noisy

    def _level(self) -> float:
        """Return the one σ / 255 of the degradation."""
        low, high = (getattr(self.degradation, name, None) for name in ("low", "high"))
        if low is None or low != high:
            raise ConfigError(
                f"{type(self.net).__name__} with in_channels={self.restorer.net.in_channels} is "
                "told the noise level, and this degradation has no single one. Take a fixed level, "
                "e.g. degradation.sigma=[25,25], or model.in_channels=${io.in_channels} with "
                "model.sigma=<level>."
            )
        return float(low)
