"""The residual block of EDSR (Lim et al., 2017, arXiv:1707.02921, Sec. 3.1): no normalisation."""

from jaxtyping import Float
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Add ``residual_scale`` times conv–activation–conv to the features.

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
