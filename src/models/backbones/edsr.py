"""EDSR (Lim et al., 2017, arXiv:1707.02921); with pyramid attention it is PA-EDSR."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from src.core.types import AttentionFactory
from src.models.attention.none import NoAttention
from src.models.backbones import BACKBONES, Backbone
from src.models.blocks.parts import ResidualBlock, mean_shifts, upsampler
from src.models.blocks.trunk import any_global, residual_trunk


@BACKBONES.register(paper="Lim et al., 2017, arXiv:1707.02921", cost="O(n) without attention")
class EDSR(Backbone):
    """Restore an image s times as large; the defaults are the published network.

    With pyramid attention in the middle it is PA-EDSR (Mei et al., 2020, arXiv:2004.13824), whose
    attention scales its identity like the residual blocks do.

    Args:
        in_channels: Image channels expected.
        out_channels: Image channels returned.
        scale: Output size over input size: 1, 2, 3, 4 or 8; at 1 there is no upsampler.
        channels: Feature channels C.
        blocks: Residual blocks; even where the attention stands in the middle.
        attention: Builds an attention block from ``channels``.
        attention_sites: After how many residual blocks an attention block stands, e.g.
            [0, 16, 32]; each has its own weights. None is the middle, as in PA-EDSR.
        residual_scale: Factor on the branch of each residual block.

    Raises:
        ValueError: If the scale has no upsampler, or there is no middle or no such site.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        scale: int = 2,
        *,
        channels: int = 256,
        blocks: int = 32,
        attention: AttentionFactory = NoAttention,
        attention_sites: Sequence[int] | None = None,
        residual_scale: float = 0.1,
    ) -> None:
        super().__init__(in_channels, out_channels, scale)
        self.sub_mean, self.add_mean = mean_shifts(in_channels, out_channels)
        self.head = nn.Conv2d(in_channels, channels, kernel_size=3, padding=1)
        row = (
            ResidualBlock(channels, activation=nn.ReLU(), residual_scale=residual_scale)
            for _ in range(blocks)
        )
        self.trunk, sites = residual_trunk(row, blocks, attention, channels, attention_sites)
        self.upsampler = upsampler(scale, channels)
        self.tail = nn.Conv2d(channels, out_channels, kernel_size=3, padding=1)
        self.global_context = any_global(sites)

    def forward(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Restore ``degraded``, in [0, 1], of any H, W >= 1; the result is not clamped."""
        features: Tensor = self.head(self.sub_mean(degraded))
        features = features + self.trunk(features)
        restored: Tensor = self.add_mean(self.tail(self.upsampler(features)))
        return restored
