"""What attention does with the channels of each pixel: norm, embedding, heads."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.ops.attention.contract import at_least_float32


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
