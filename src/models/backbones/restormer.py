"""Restormer (Zamir et al., 2022, arXiv:2111.09881): a U-shaped transformer over channels."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.core.types import AttentionFactory
from src.models.attention.transposed import TransposedAttention
from src.models.backbones import BACKBONES, Backbone
from src.models.blocks.parts import ChannelNorm
from src.models.blocks.trunk import any_global, attention_site, check_image_skip, per_level

_LEVELS = 4
_EXPANSION = 2.66  # hidden channels of the feed-forward part over C (Sec. 4)


@BACKBONES.register(paper="Zamir et al., 2022, arXiv:2111.09881", cost="O(n·C²)")
class Restormer(Backbone):
    """Restore an image of the same size; the defaults are the published network for deblurring.

    Three levels halve the sides and double the channels, a fourth is the coarsest; the decoder
    joins what the encoder had at each size. At the finest size it keeps 2C channels, in as many
    heads as C has.

    Args:
        in_channels: Image channels expected.
        out_channels: Image channels returned, as many.
        channels: Feature channels C of the first level.
        blocks: Transformer blocks in each of the four levels, finest first, on both sides; one
            number is for all levels.
        refinement_blocks: Blocks at the end, at full size.
        attention: Builds an attention block from the channels of its level; one in every block.
        centred: Whether the normalisation before the feed-forward part subtracts the mean and adds
            a bias. The paper's denoising networks do not: set it in ``attention`` as well.

    Raises:
        ValueError: If the image channels differ, or there are not four levels.
    """

    multiple_of = 2 ** (_LEVELS - 1)

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        channels: int = 48,
        blocks: Sequence[int] | int = (4, 6, 6, 8),
        refinement_blocks: int = 4,
        attention: AttentionFactory = TransposedAttention,
        centred: bool = True,
    ) -> None:
        check_image_skip("Restormer", in_channels, out_channels)
        super().__init__(in_channels, out_channels)
        depth = per_level(blocks, _LEVELS)
        widths = [channels * 2**level for level in range(_LEVELS)]

        def level(width: int, count: int) -> nn.Sequential:
            return nn.Sequential(*(_Block(width, attention, centred=centred) for _ in range(count)))

        self.head = _conv3(in_channels, channels)
        self.encoder = nn.ModuleList(map(level, widths[:-1], depth[:-1]))
        self.down = nn.ModuleList(_halve(width) for width in widths[:-1])
        self.middle = level(widths[-1], depth[-1])
        self.up = nn.ModuleList(_double(width) for width in widths[:0:-1])
        back = [*widths[-2:0:-1], 2 * channels]  # the finest level keeps both halves of its input
        self.join = nn.ModuleList(
            [nn.Conv2d(2 * width, width, kernel_size=1, bias=False) for width in back[:-1]]
            + [nn.Identity()]
        )
        self.decoder = nn.ModuleList(map(level, back, depth[-2::-1]))
        self.refinement = level(2 * channels, refinement_blocks)
        self.tail = _conv3(2 * channels, out_channels)
        for module in (*self.decoder[-1].modules(), *self.refinement.modules()):
            if isinstance(module, TransposedAttention):
                module.regroup_as(channels)
        attended = [module for module in self.modules() if isinstance(module, _Block)]
        self.global_context = any_global(block.attention for block in attended)

    def forward(self, degraded: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Restore ``degraded``, in [0, 1], of sides that ``multiple_of`` divides; not clamped."""
        features: Tensor = self.head(degraded)
        skips: list[Tensor] = []
        for level, down in zip(self.encoder, self.down, strict=True):
            skips.append(level(features))
            features = down(skips[-1])
        features = self.middle(features)
        for up, join, level in zip(self.up, self.join, self.decoder, strict=True):
            features = level(join(torch.cat([up(features), skips.pop()], dim=1)))
        restored: Tensor = self.tail(self.refinement(features))
        return degraded + restored


class _Block(nn.Module):
    """Attention, then the gated feed-forward network over 3×3 neighbours (Sec. 3.2, Eq. 2)."""

    def __init__(self, channels: int, attention: AttentionFactory, *, centred: bool) -> None:
        super().__init__()
        hidden = int(channels * _EXPANSION)
        self.attention = attention_site(attention, channels)
        self.norm = ChannelNorm(channels, centred=centred)
        self.expand = nn.Conv2d(channels, 2 * hidden, kernel_size=1, bias=False)
        self.depthwise = nn.Conv2d(
            2 * hidden, 2 * hidden, kernel_size=3, padding=1, groups=2 * hidden, bias=False
        )
        self.project = nn.Conv2d(hidden, channels, kernel_size=1, bias=False)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        features = self.attention(features)
        gate, value = self.depthwise(self.expand(self.norm(features))).chunk(2, dim=1)
        branch: Tensor = self.project(F.gelu(gate) * value)
        return features + branch


def _conv3(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)


def _halve(channels: int) -> nn.Sequential:
    """Return a layer that halves the sides and doubles the channels."""
    return nn.Sequential(_conv3(channels, channels // 2), nn.PixelUnshuffle(2))


def _double(channels: int) -> nn.Sequential:
    """Return a layer that doubles the sides and halves the channels."""
    return nn.Sequential(_conv3(channels, 2 * channels), nn.PixelShuffle(2))
