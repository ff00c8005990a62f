"""Parts that several networks share.

First what EDSR gave to the networks after it (Lim et al., 2017, arXiv:1707.02921), then what
attention does with the channels of each pixel: norm, embedding, heads.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.ops.attention.contract import at_least_float32

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


class MeanShift(nn.Module):
    """A frozen 1×1 convolution that adds ``sign`` times DIV2K's mean RGB, for images in [0, 1]."""

    def __init__(self, sign: Literal[-1, 1]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(3).view(3, 3, 1, 1), requires_grad=False)
        self.bias = nn.Parameter(sign * torch.tensor(DIV2K_MEAN), requires_grad=False)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Shift ``image``."""
        return nn.functional.conv2d(image, self.weight, self.bias)


def mean_shifts(in_channels: int, out_channels: int) -> tuple[nn.Module, nn.Module]:
    """Return what takes the mean colour away before a network, and what adds it after it.

    DIV2K's mean says nothing about grey images, mosaics or noise maps: these pass as they are.
    """
    if in_channels == out_channels == 3:
        return MeanShift(-1), MeanShift(1)
    return nn.Identity(), nn.Identity()


class ResidualBlock(nn.Module):
    """Add ``residual_scale`` times conv–activation–conv to the features, not normalised (Sec. 3.1).

    Args:
        channels: Feature channels C.
        activation: The module between the convolutions; blocks may share one.
        residual_scale: Factor on the branch.
    """

    def __init__(
        self, channels: int, *, activation: nn.Module, residual_scale: float = 1.0
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.activation = activation
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.residual_scale = residual_scale

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return ``features`` plus the scaled branch."""
        branch: Tensor = self.conv2(self.activation(self.conv1(features)))
        return features + self.residual_scale * branch


def upsampler(scale: int, channels: int) -> nn.Sequential:
    """Return convolutions and pixel shuffles that enlarge (B, C, H, W) to (B, C, s·H, s·W).

    Scales 2, 4, 8 are one, two, three steps of two; scale 3 is one step. There is no activation
    (Shi et al., 2016, arXiv:1609.05158). At scale 1 it is empty.

    Args:
        scale: 1, 2, 3, 4 or 8.
        channels: Feature channels C.

    Raises:
        ValueError: If ``scale`` is none of these.
    """
    steps = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
    if scale not in steps:
        raise ValueError(f"scale={scale} has no upsampler; it must be one of 1, 2, 3, 4, 8.")
    parts: list[nn.Module] = []
    for step in steps[scale]:
        parts += [
            nn.Conv2d(channels, channels * step**2, kernel_size=3, padding=1),
            nn.PixelShuffle(step),
        ]
    return nn.Sequential(*parts)


class ChannelNorm(nn.Module):
    """Normalise the channels of each pixel of (B, C, H, W), then scale and shift them.

    Layer normalisation (Ba et al., 2016, arXiv:1607.06450) over the channels.

    Args:
        channels: Feature channels C.
        centred: Whether the mean is subtracted and a bias added; without, only the variance is
            divided out, as Restormer's networks for denoising do.
        eps: Added to the variance.
    """

    def __init__(self, channels: int, *, centred: bool = True, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if centred else None
        self.eps = eps

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise ``features``."""
        pixels = features.permute(0, 2, 3, 1)
        if self.bias is None:
            variance = at_least_float32(pixels).var(dim=-1, keepdim=True, unbiased=False)
            pixels = pixels * torch.rsqrt(variance + self.eps).to(pixels.dtype) * self.weight
        else:
            pixels = F.layer_norm(pixels, self.weight.shape, self.weight, self.bias, self.eps)
        return pixels.permute(0, 3, 1, 2)


def embedding(channels: int, out_channels: int) -> nn.Sequential:
    """Return a 1×1 convolution and a PReLU: (B, C, H, W) to (B, out_channels, H, W).

    In it the attention of Mei et al. compares and collects features (2020, arXiv:2004.13824 and
    arXiv:2006.01424, in the authors' implementations).
    """
    return nn.Sequential(nn.Conv2d(channels, out_channels, kernel_size=1), nn.PReLU())


def heads_for(channels: int, head_channels: int) -> int:
    """Return the divisor of ``channels`` nearest to ``channels / head_channels``, smaller first.

    Papers state the heads of each width that they use; where these have equal widths, as SwinIR's
    30 and Restormer's 48 channels, one number gives them all, and some number for any width.

    Raises:
        ValueError: If a number is below 1.
    """
    if channels < 1 or head_channels < 1:
        raise ValueError(f"channels={channels}, head_channels={head_channels}: both must be >= 1.")
    divisors = [heads for heads in range(1, channels + 1) if channels % heads == 0]
    return min(divisors, key=lambda heads: abs(heads - channels / head_channels))
