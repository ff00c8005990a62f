"""Channel-spatial attention of HAN (Niu et al., 2020, arXiv:2008.08767)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.models.attention import ATTENTION


@ATTENTION.register(paper="Niu et al., 2020, arXiv:2008.08767", cost="O(n·C)")
class ChannelSpatialAttention(nn.Module):
    """Add to the features β times themselves, gated by a 3-D convolution over channels and space.

    The holistic attention of HAN has two parts. This is its channel-spatial module: one filter
    slides over channel, row and column together, so each number is weighted by its neighbours in
    all three. The other, the layer attention, correlates the outputs of all residual groups
    (B, N, C, H, W); a block that maps one set of features to another has no such stack, and of a
    stack of one it would leave a constant factor, so it is not here.

    Args:
        channels: Feature channels C; any, the filter is the same for all.
        kernel_size: Side of the filter in channels, rows and columns; odd.

    Raises:
        ValueError: If ``kernel_size`` is even.
    """

    scale = 1
    identity_if_zero = "beta"
    global_context = False

    def __init__(self, channels: int, *, kernel_size: int = 3) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size} is even; an odd one keeps the size.")
        super().__init__()
        self.channels = channels
        self.gate = nn.Conv3d(1, 1, kernel_size=kernel_size, padding=kernel_size // 2)
        self.beta = nn.Parameter(torch.zeros(1))  # the paper begins with the identity

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Weight ``features``, of any H, W >= 1."""
        factors: Tensor = self.gate(features[:, None])[:, 0].sigmoid()
        return features + self.beta * factors * features
