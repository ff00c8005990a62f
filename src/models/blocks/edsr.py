"""What EDSR gave to the networks after it (Lim et al., 2017, arXiv:1707.02921)."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

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
