"""Layer normalisation over the channels of each pixel (Ba et al., 2016, arXiv:1607.06450)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.ops.attention.precision import at_least_float32


class ChannelNorm(nn.Module):
    """Normalise the channels of each pixel of (B, C, H, W), then scale and shift them.

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
