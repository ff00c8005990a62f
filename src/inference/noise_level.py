"""The noise level as a last input channel, for networks that are told it (FFDNet and others)."""

import torch
from jaxtyping import Float
from torch import Tensor

from src.core.types import RestorationNet


def takes_noise_level(net: RestorationNet) -> bool:
    """Say whether ``net`` takes one channel more than it returns: the noise level."""
    return net.in_channels == net.out_channels + 1


def with_noise_level(
    noisy: Float[Tensor, "b c h w"], level: float
) -> Float[Tensor, "b c_and_level h w"]:
    """Return images with one channel more, ``level`` at every pixel: σ for intensities in [0, 1].

    Zhang et al., 2018, arXiv:1710.04026, Sec. III-B.
    """
    return torch.cat([noisy, torch.full_like(noisy[:, :1], level)], dim=1)
