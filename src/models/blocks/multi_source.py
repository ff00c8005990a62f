"""Mutual-projected fusion of CSNLN (Mei et al., 2020, arXiv:2006.01424)."""

from jaxtyping import Float
from torch import Tensor, nn

from src.models.blocks.residual import ResidualBlock
from src.models.blocks.strided import expand


class MultiSourceProjection(nn.Module):
    """Enlarge features by in-scale attention, then add what cross-scale attention knows beyond it.

    Args:
        channels: Feature channels C.
        in_scale: Maps (B, C, H, W) to the same shape.
        cross_scale: Maps (B, C, H, W) to (B, C, s·H, s·W).
        scale: s, 2 or 3.
    """

    def __init__(
        self, channels: int, *, in_scale: nn.Module, cross_scale: nn.Module, scale: int
    ) -> None:
        super().__init__()
        self.cross_scale, self.in_scale = cross_scale, in_scale
        self.expand = expand(scale, channels)
        self.encoder = ResidualBlock(channels, activation=nn.PReLU())

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Return the fused features, s times as large."""
        near: Tensor = self.expand(self.in_scale(features))
        residue: Tensor = self.encoder(self.cross_scale(features) - near)
        return near + residue
