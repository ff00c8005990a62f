"""Additive white Gaussian noise, as an 8-bit file or as floats."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


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
        if len(sigma) != 2 or not 0 <= sigma[0] <= sigma[1]:
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
        sigma = torch.empty(len(clean), 1, 1, 1, device=clean.device)
        sigma.uniform_(self.low, self.high, generator=generator)
        noise = torch.empty_like(clean).normal_(generator=generator)
        noisy = clean + sigma * noise
        return (noisy.clamp(0, 1) * 255).round() / 255 if self.clip8 else noisy
