"""Additive white Gaussian noise, as an 8-bit file or as floats: drawn, or one pattern for all."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.degradations.drawn import note


class GaussianNoise(nn.Module):
    """Add N(0, sigma²) noise, one sigma an image, drawn uniformly from ``sigma``.

    Two conventions exist, and their scores must not be compared. PANet and RNAN read noisy images
    from 8-bit files, so the noise is rounded and clipped; DnCNN, FFDNet and SwinIR add
    floats and clip nothing (Zhang et al., 2017, arXiv:1608.03981).

    Args:
        sigma: (low, high) standard deviation on the 8-bit scale, e.g. (25, 25) or (0, 55).
        clip8: Round and clip the noisy image to 8 bits, as writing it to a PNG would.

    Raises:
        ValueError: If not 0 <= low <= high.
    """

    def __init__(self, sigma: Sequence[float] = (25.0, 25.0), *, clip8: bool = True) -> None:
        super().__init__()
        if len(sigma) != 2 or not 0 <= sigma[0] <= sigma[1] < math.inf:
            raise ValueError(
                f"sigma must be [low, high] with 0 <= low <= high on the 8-bit scale, "
                f"not {list(sigma)}; for one level write it twice, e.g. [25, 25]."
            )
        self.low, self.high = sigma[0] / 255, sigma[1] / 255
        self.clip8 = clip8

    def forward(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Map clean images in [0, 1] to noisy ones, on the generator's device."""
        return self.with_level(clean, generator)[0]

    def with_level(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, " b"]]:
        """Return the noisy images and the σ in [0, 1] that was drawn for each."""
        noisy, level = self._noisy(clean, generator)
        return (as_8bit(noisy) if self.clip8 else noisy), level

    def _noisy(self, clean: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        sigma = torch.empty(len(clean), 1, 1, 1, device=clean.device)
        sigma.uniform_(self.low, self.high, generator=generator)
        sigma = self._spread(sigma)
        note("sigma", lambda: float(sigma.mean() * 255))
        noise = torch.empty_like(clean).normal_(generator=generator)
        return clean + sigma * noise, sigma.flatten()

    def _spread(self, sigma: Tensor) -> Tensor:
        return sigma


def as_8bit(noisy: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Return images in [0, 1] as a file of 8 bits has them."""
    return (noisy.clamp(0, 1) * 255).round() / 255


class EitherGaussianNoise(GaussianNoise):
    """Round and clip every second training image to 8 bits, on average; leave the others floats.

    One network then serves both conventions: tables such as CBM3D's and DnCNN's are of floats, a
    photograph is a file of 8 bits, whose clipped noise is not of zero mean in dark and bright
    places. In evaluation ``clip8`` decides, as in :class:`GaussianNoise`.

    Args:
        sigma: As in :class:`GaussianNoise`.
        clip8: As in :class:`GaussianNoise`, for evaluation.
        grey: Share of the training images whose noise is the same in all channels, as that of a
            grey image is when it is given to a colour network.
        power: In training, σ is low + (high - low) · u^power with u uniform in [0, 1]: above 1,
            weak noise comes more often, which is harder to reach the best score at.

    Raises:
        ValueError: If not 0 <= low <= high, ``grey`` is no share, or ``power`` is not positive.
    """

    def __init__(
        self,
        sigma: Sequence[float] = (25.0, 25.0),
        *,
        clip8: bool = True,
        grey: float = 0.0,
        power: float = 1.0,
    ) -> None:
        super().__init__(sigma, clip8=clip8)
        if not 0 <= grey <= 1:
            raise ValueError(f"grey={grey} must be a share from 0 to 1.")
        if not 0 < power < math.inf:
            raise ValueError(f"power={power} must be a positive number.")
        self.grey, self.power = grey, power

    def with_level(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, " b"]]:
        """Return the noisy images and the σ in [0, 1] that was drawn for each."""
        if not self.training:
            return super().with_level(clean, generator)
        noisy, level = self._noisy(clean, generator)
        if self.grey:
            first = (noisy - clean)[:, :1]
            noisy = torch.where(_coin(clean, self.grey, generator), clean + first, noisy)
        return torch.where(_coin(clean, 0.5, generator), as_8bit(noisy), noisy), level

    def _spread(self, sigma: Tensor) -> Tensor:
        """Draw weak noise more often in training, by the power."""
        width = self.high - self.low
        if not self.training or self.power == 1 or width == 0:
            return sigma
        return self.low + width * ((sigma - self.low) / width) ** self.power


def _coin(images: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Return for each image whether it is among the ``share`` drawn."""
    drawn = torch.empty(len(images), 1, 1, 1, device=images.device)
    return drawn.bernoulli_(share, generator=generator).bool()


class SharedGaussianNoise(GaussianNoise):
    """Add to every image the first numbers of NumPy's legacy generator with seed 0.

    Published scores of denoisers rest on one noise pattern, which images of a size share, so the
    luck of the pattern does not average out over a set: on CBSD68 at σ = 50 this pattern scores
    0.03 dB above independent ones. NumPy's is that of the tables made in Python (Liang et al.,
    2021, arXiv:2108.10257, with its public test code); MATLAB's cannot be had elsewhere. In
    training the noise is that of :class:`GaussianNoise`.
    """

    def with_level(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, " b"]]:
        """Return the noisy images and the σ in [0, 1] of each; in evaluation nothing is drawn.

        Raises:
            ValueError: In evaluation, if sigma is a range.
        """
        if self.training:
            return super().with_level(clean, generator)
        if self.low != self.high:
            raise ValueError("sigma must be one level here, e.g. [25, 25]; it is a range.")
        _, channels, height, width = clean.shape
        pattern = np.random.RandomState(0).normal(0, self.low, (height, width, channels))
        noise = torch.from_numpy(pattern).permute(2, 0, 1)
        noisy = clean + noise.to(clean)
        level = torch.full((len(clean),), self.low, device=clean.device)
        return (as_8bit(noisy) if self.clip8 else noisy), level
