"""The tasks: denoising, JPEG artefacts, demosaicing, super-resolution."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from src.core.errors import ConfigError
from src.core.types import Clean, Pair
from src.inference.restorer import takes_noise_level, with_noise_level
from src.ops.color import grey8
from src.ops.resize import upscale
from src.training.tasks import TASKS
from src.training.tasks.base import RestorationTask


@TASKS.register(name="denoise", paper="Mei et al., 2020, arXiv:2004.13824, Sec. 4.1")
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
                "told the noise level, and this degradation, or a pair, has none. Take "
                "degradation=gaussian, or model.in_channels=${io.in_channels} with "
                "model.sigma=<level>."
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


@TASKS.register(name="denoise_grey", paper="Zhang et al., 2017, arXiv:1608.03981, Sec. IV")
class DenoiseGrey(Denoise):
    """Denoise grey images as the papers mean them: MATLAB's rgb2gray, 0 to 255, of colour images.

    Luma of one-channel data, 16 to 235, is super-resolution's and JPEG's: noise of a level is
    stronger on it, by 1.3 dB.
    """

    def degrade(self, batch: Clean | Pair) -> Pair:
        """Return grey of the batch with a noisy ``input``, made here unless the data has one."""
        grey = {
            key: grey8(cast("Tensor", image))
            for key, image in batch.items()
            if key in {"input", "target"}
        }
        return super().degrade(cast("Clean", {**batch, **grey}))


@TASKS.register(name="dejpeg", paper="Mei et al., 2020, arXiv:2004.13824, Sec. 4.3")
class Dejpeg(RestorationTask):
    """Restore an image from its JPEG, which itself is the score to beat."""


@TASKS.register(name="demosaic", paper="Mei et al., 2020, arXiv:2004.13824, Sec. 4.2")
class Demosaic(RestorationTask):
    """Restore colour from a zero-filled Bayer mosaic, which itself is the score to beat."""


@TASKS.register(
    name="super_resolution",
    paper="Mei et al., 2020, arXiv:2006.01424, Sec. 4; arXiv:2004.13824, Sec. 4.4",
)
class SuperResolution(RestorationTask):
    """Restore an image ``scale`` times as large; bicubic interpolation is the score to beat.

    A network of scale 1 is given the interpolated input, as in SRCNN and VDSR (Kim et al., 2016,
    arXiv:1511.04587, Sec. 3.1).
    """

    def net_input(self, pair: Pair) -> Tensor:
        """Return the small image, enlarged first for a network that keeps the size."""
        scale = self.restorer.net.scale
        return pair["input"] if scale == self.scale else upscale(pair["input"], self.scale)

    def baseline(self, pair: Pair) -> Tensor:
        """Return the input enlarged by MATLAB's bicubic rule."""
        return upscale(pair["input"], self.scale)


@TASKS.register(name="super_resolution_luma", paper="Kim et al., 2016, arXiv:1511.04587, Sec. 5")
class SuperResolutionLuma(SuperResolution):
    """Restore luma from the luma of a small colour image.

    ``task=super_resolution_y`` reads luma as 8-bit levels; here it is worked out from 8-bit colour,
    of the target and of the shrunk image, by the protocol's weights.
    """

    def degrade(self, batch: Clean | Pair) -> Pair:
        """Return luma of the batch with an ``input``, made here unless the data has one."""
        pair = super().degrade(batch)
        luma = self.evaluator.protocol.luma_of
        return Pair(input=luma(pair["input"]), target=luma(pair["target"]), key=pair["key"])
