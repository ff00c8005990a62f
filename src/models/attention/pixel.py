"""Pixel attention of PAN (Zhao et al., 2020, arXiv:2010.01073, Sec. 3.2)."""

from jaxtyping import Float
from torch import Tensor, nn

from src.models.attention import ATTENTION


@ATTENTION.register(paper="Zhao et al., 2020, arXiv:2010.01073", cost="O(n)")
class PixelAttention(nn.Module):
    """Multiply each number of each pixel by its own factor in (0, 1), from a 1×1 convolution.

    Args:
        channels: Feature channels C; any.
    """

    scale = 1
    global_context = False

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Weight the pixels of ``features``, of any H, W >= 1."""
        factors: Tensor = self.gate(features).sigmoid()
        return features * factors
