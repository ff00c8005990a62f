"""NAFNet (Chen et al., 2022, arXiv:2204.04676): a U-shaped network without activations."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.core.types import AttentionFactory
from src.models.attention.none import NoAttention
from src.models.backbones import BACKBONES, Backbone
from src.models.blocks.parts import ChannelNorm
from src.models.blocks.trunk import check_image_skip, interleaved, per_level


@BACKBONES.register(paper="Chen et al., 2022, arXiv:2204.04676", cost="O(n)")
class NAFNet(Backbone):
    """Restore an image of the same size; the defaults are the paper's 36 blocks of width 32.

    Each level of the encoder ends in a convolution that halves the sides and doubles the channels;
    the decoder goes back by pixel shuffles and adds what the encoder had at that size.

    Args:
        in_channels: Image channels expected.
        out_channels: Image channels returned, as many.
        channels: Feature channels C of the first level.
        blocks: Blocks in each level of the encoder, finest first; one number is for every level
            of both sides.
        middle_blocks: Blocks at the coarsest level.
        decoder_blocks: Blocks in each level of the decoder, coarsest first; as many levels.
        attention: Builds an attention block from the channels of the coarsest level. The gate
            on the channels in each block is the block's own.
        attention_sites: After how many of ``middle_blocks`` attention stands; None is the middle.

    Raises:
        ValueError: If the image channels differ, the levels do, or there is no such site.
    """

    global_context = True  # each block weights its channels by their means

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        channels: int = 32,
        blocks: Sequence[int] | int = (2, 2, 4, 8),
        middle_blocks: int = 12,
        decoder_blocks: Sequence[int] = (2, 2, 2, 2),
        attention: AttentionFactory = NoAttention,
        attention_sites: Sequence[int] | None = None,
    ) -> None:
        check_image_skip("NAFNet", in_channels, out_channels)
        super().__init__(in_channels, out_channels)
        levels = len(decoder_blocks)
        self.multiple_of = 2**levels
        widths = [channels * 2**level for level in range(levels)]
        self.head = nn.Conv2d(in_channels, channels, kernel_size=3, padding=1)
        self.encoder = nn.ModuleList(map(_level, widths, per_level(blocks, levels)))
        self.down = nn.ModuleList(nn.Conv2d(c, 2 * c, kernel_size=2, stride=2) for c in widths)
        coarsest = channels * 2**levels
        row = [_Block(coarsest) for _ in range(middle_blocks)]
        self.middle, _ = interleaved(row, middle_blocks, attention, coarsest, attention_sites)
        self.up = nn.ModuleList(_enlarge(2 * c) for c in reversed(widths))
        back = blocks if isinstance(blocks, int) else decoder_blocks
        self.decoder = nn.ModuleList(map(_level, reversed(widths), per_level(back, levels)))
        self.tail = nn.Conv2d(channels, out_channels, kernel_size=3, padding=1)

    def forward(self, degraded: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Restore ``degraded``, in [0, 1], of sides that ``multiple_of`` divides; not clamped."""
        features: Tensor = self.head(degraded)
        skips: list[Tensor] = []
        for level, down in zip(self.encoder, self.down, strict=True):
            skips.append(level(features))
            features = down(skips[-1])
        features = self.middle(features)
        for up, level in zip(self.up, self.decoder, strict=True):
            features = level(up(features) + skips.pop())
        restored: Tensor = self.tail(features)
        return degraded + restored


class _Block(nn.Module):
    """Two residual branches whose only non-linearity is a product of halves (Fig. 3).

    The branches are scaled by learned factors that begin at zero: a new block changes nothing.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.norm1 = ChannelNorm(channels, eps=1e-6)
        self.expand1 = nn.Conv2d(channels, wide, kernel_size=1)
        self.depthwise = nn.Conv2d(wide, wide, kernel_size=3, padding=1, groups=wide)
        self.weigh = nn.Conv2d(channels, channels, kernel_size=1)
        self.project1 = nn.Conv2d(channels, channels, kernel_size=1)
        self.norm2 = ChannelNorm(channels, eps=1e-6)
        self.expand2 = nn.Conv2d(channels, wide, kernel_size=1)
        self.project2 = nn.Conv2d(channels, channels, kernel_size=1)
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        gated = _simple_gate(self.depthwise(self.expand1(self.norm1(features))))
        weighted = gated * self.weigh(gated.mean(dim=(2, 3), keepdim=True))
        mixed: Tensor = features + self.beta * self.project1(weighted)
        gated = _simple_gate(self.expand2(self.norm2(mixed)))
        branch: Tensor = self.gamma * self.project2(gated)
        return mixed + branch


def _simple_gate(features: Tensor) -> Tensor:
    """Return the product of both halves of the channels."""
    first, second = torch.chunk(features, 2, dim=1)
    product: Tensor = first * second
    return product


def _level(channels: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(channels) for _ in range(blocks)))


def _enlarge(channels: int) -> nn.Sequential:
    """Return a layer that doubles the sides and halves the channels."""
    return nn.Sequential(
        nn.Conv2d(channels, 2 * channels, kernel_size=1, bias=False), nn.PixelShuffle(2)
    )
