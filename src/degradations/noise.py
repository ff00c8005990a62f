"""Noise as photographs have it: Gaussian or Poisson, in colour or grey, and that of a sensor."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.degradations.drawn import check_range, choose, happens, note, uniform

_GAMMA = 2.2  # of displays; a sensor counts photons, which are in proportion to light


class MixedNoise(nn.Module):
    """Add Gaussian or Poisson noise, of each channel apart or the same in all.

    Wang et al., 2021, arXiv:2107.10833, Sec. 3.1: the noisy image is clipped, not rounded.

    Args:
        gaussian: Share of images with Gaussian noise; the others have Poisson noise.
        sigma: (low, high) of Gaussian noise on the 8-bit scale.
        scale: (low, high) factor on Poisson noise; 1 is that of an image whose levels are counts.
        grey: Share of images whose noise is the same in all channels.

    Raises:
        ValueError: If a range or share is none.
    """

    def __init__(
        self,
        gaussian: float = 0.5,
        *,
        sigma: Sequence[float] = (1.0, 30.0),
        scale: Sequence[float] = (0.05, 3.0),
        grey: float = 0.4,
    ) -> None:
        super().__init__()
        for name, share in (("gaussian", gaussian), ("grey", grey)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name}={share} must be a share from 0 to 1.")
        self.gaussian, self.grey = gaussian, grey
        self.sigma, self.scale = check_range("sigma", sigma), check_range("scale", scale)

    def forward(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Map images in [0, 1] to noisy ones, in [0, 1]."""
        weights = {"gaussian": self.gaussian, "poisson": 1 - self.gaussian}
        kind = choose(generator, weights, "kind")
        grey = happens(generator, self.grey)
        note("grey", "yes" if grey else "no")
        seen = clean.mean(1, keepdim=True) if grey and kind == "poisson" else clean
        seen = seen[:, :1] if grey else seen
        if kind == "gaussian":
            sigma = uniform(generator, self.sigma, "sigma") / 255
            noise = torch.empty_like(seen).normal_(generator=generator) * sigma
        else:
            noise = self._poisson(seen, generator) * uniform(generator, self.scale, "scale")
        noisy: Tensor = (clean + noise).clamp(0, 1)
        return noisy

    @staticmethod
    def _poisson(image: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return the noise of counting as many photons as the image has levels."""
        levels = (image.clamp(0, 1) * 255).round()
        different = len(torch.unique(levels))
        peak = float(2 ** math.ceil(math.log2(max(different, 2))))
        return torch.poisson(levels / 255 * peak, generator=generator) / peak - levels / 255


class SensorNoise(nn.Module):
    """Add the noise of a camera's sensor: Poisson-Gaussian, in light and not in levels.

    Its variance grows with the light, ``shot`` · light + ``read``; levels are taken to be light to
    the power 1 / 2.2. ``read`` follows ``shot`` as in real cameras: log read is normal around
    2.18 · log shot + 1.20, with standard deviation 0.26 (Brooks et al., 2019, arXiv:1811.11127,
    Sec. 3.1).

    Args:
        shot: (low, high), drawn uniformly in its logarithm.

    Raises:
        ValueError: If not 0 < low <= high.
    """

    def __init__(self, shot: Sequence[float] = (0.0001, 0.012)) -> None:
        super().__init__()
        self.shot = check_range("shot", shot, least=1e-9)

    def forward(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Map images in [0, 1] to noisy ones, in [0, 1]."""
        shot = uniform(generator, self.shot, "shot", log=True)
        device = "cpu" if generator is None else generator.device
        spread = float(torch.randn((), generator=generator, device=device))
        read = math.exp(2.18 * math.log(shot) + 1.20 + 0.26 * spread)
        note("read", read)
        light = clean.clamp(0, 1) ** _GAMMA
        noise = torch.empty_like(light).normal_(generator=generator)
        noisy = light + noise * torch.sqrt(shot * light + read)
        return noisy.clamp(0, 1) ** (1 / _GAMMA)
