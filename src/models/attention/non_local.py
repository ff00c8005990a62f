"""The non-local block (Wang et al., 2018, arXiv:1711.07971), embedded Gaussian."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.models.attention import ATTENTION
from src.ops.attention.patch_attention import fused_pixel_attention


@ATTENTION.register(paper="Wang et al., 2018, arXiv:1711.07971", cost="O(n²)")
class NonLocalAttention(nn.Module):
    """Add to each pixel a mean over all pixels, weighted by exp(θ(x_i)·φ(x_j)) (Eqs. 1, 3, 6).

    The output projection starts at random; at zero, as the paper has it, where the block is added
    to a trained network.

    Args:
        channels: Feature channels C; any.
        reduction: Ratio of C to the channels of θ, φ and g; the paper halves (Sec. 3.3).

    Raises:
        ValueError: If ``reduction`` is below 1.
    """

    scale = 1
    identity_if_zero = "project"

    def __init__(self, channels: int, *, reduction: int = 2) -> None:
        if reduction < 1:
            raise ValueError(f"reduction={reduction}; it divides the channels and must be >= 1.")
        super().__init__()
        inner = max(1, channels // reduction)
        self.query = nn.Conv2d(channels, inner, kernel_size=1)
        self.key = nn.Conv2d(channels, inner, kernel_size=1)
        self.value = nn.Conv2d(channels, inner, kernel_size=1)
        self.project = nn.Conv2d(inner, channels, kernel_size=1)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Attend over all pixels of ``features``, of any H, W >= 1."""
        embedded = (embed(features).flatten(2) for embed in (self.query, self.key, self.value))
        # The fused form never keeps the n² scores; the paper does not scale them.
        attended = fused_pixel_attention(*embedded)
        projected: Tensor = self.project(torch.unflatten(attended, 2, features.shape[2:]))
        return features + projected
