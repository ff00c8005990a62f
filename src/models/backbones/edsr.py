"""EDSR (Lim et al., 2017, arXiv:1707.02921); with pyramid attention it is PA-EDSR."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from src.core.types import AttentionFactory
from src.models.attention.none import NoAttention
from src.models.backbones import BACKBONES
from src.models.blocks.attention_site import any_global
from src.models.blocks.mean_shift import MeanShift
from src.models.blocks.residual import ResidualBlock
from src.models.blocks.trunk import attended_trunk, site_indices
from src.models.blocks.upsampler import upsampler


@BACKBONES.register(paper="Lim et al., 2017, arXiv:1707.02921", cost="O(n) without attention")
class EDSR(nn.Module):
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

    multiple_of = 1
    min_size = 1

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
        super().__init__()
        self.in_channels, self.out_channels, self.scale = in_channels, out_channels, scale
        # DIV2K's mean colour says nothing about grey images, mosaics or noise maps.
        colour = in_channels == out_channels == 3
        self.sub_mean = MeanShift(-1) if colour else nn.Identity()
        self.add_mean = MeanShift(1) if colour else nn.Identity()

        def residual_block() -> ResidualBlock:
            return ResidualBlock(channels, activation=nn.ReLU(), residual_scale=residual_scale)

        self.head = nn.Conv2d(in_channels, channels, kernel_size=3, padding=1)
        self.trunk = attended_trunk(
            residual_block,
            blocks=blocks,
            channels=channels,
            attention=attention,
            sites=attention_sites,
        )
        self.upsampler = upsampler(scale, channels)
        self.tail = nn.Conv2d(channels, out_channels, kernel_size=3, padding=1)
        sites = (self.trunk[index] for index in site_indices(blocks, attention_sites))
        self.global_context = any_global(sites)

    def forward(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Restore ``degraded``, in [0, 1], of any H, W >= 1; the result is not clamped."""
        features: Tensor = self.head(self.sub_mean(degraded))
        features = features + self.trunk(features)
        restored: Tensor = self.add_mean(self.tail(self.upsampler(features)))
        return restored
