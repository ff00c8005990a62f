"""CARN-M (Ahn et al., 2018, arXiv:1803.08664): cascades of shared, grouped residual units."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.core.types import AttentionFactory
from src.models.attention.none import NoAttention
from src.models.backbones import BACKBONES, Backbone
from src.models.blocks.parts import mean_shifts
from src.models.blocks.trunk import any_global, interleaved

_UNITS = 3  # uses of the one residual unit in a block
_STEPS = {1: (), 2: (2,), 3: (3,), 4: (2, 2)}


@BACKBONES.register(paper="Ahn et al., 2018, arXiv:1803.08664", cost="O(n)")
class CARNM(Backbone):
    """Restore an image s times as large with few parameters; the defaults are the published ones.

    The published network has an upsampler for each of the scales 2, 3 and 4 behind one trunk; this
    one has that of its own scale.

    Args:
        in_channels: Image channels expected.
        out_channels: Image channels returned.
        scale: Output size over input size: 1, 2, 3 or 4; at 1 there is no upsampler.
        channels: Feature channels C, a multiple of ``groups``.
        blocks: Cascading blocks.
        groups: Groups of the 3×3 convolutions within blocks and upsampler.
        attention: Builds an attention block from ``channels``.
        attention_sites: After how many blocks attention stands; None is the middle.

    Raises:
        ValueError: If C is no multiple of ``groups``, or there is no such scale or site.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        scale: int = 2,
        *,
        channels: int = 64,
        blocks: int = 3,
        groups: int = 4,
        attention: AttentionFactory = NoAttention,
        attention_sites: Sequence[int] | None = None,
    ) -> None:
        if scale not in _STEPS:
            raise ValueError(f"scale must be one of {tuple(_STEPS)}, not {scale}.")
        if channels % groups:
            raise ValueError(f"channels={channels} is no multiple of groups={groups}.")
        super().__init__(in_channels, out_channels, scale)
        self.sub_mean, self.add_mean = mean_shifts(in_channels, out_channels)
        self.head = nn.Conv2d(in_channels, channels, kernel_size=3, padding=1)
        row = [_CascadingBlock(channels, groups) for _ in range(blocks)]
        self.trunk, sites = interleaved(row, blocks, attention, channels, attention_sites)
        self.joins = _joins(channels, blocks)
        self.upsampler = _upsampler(scale, channels, groups)
        self.tail = nn.Conv2d(channels, out_channels, kernel_size=3, padding=1)
        self.global_context = any_global(sites)

    def forward(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Restore ``degraded``, in [0, 1], of any H, W >= 1; the result is not clamped."""
        features: Tensor = self.head(self.sub_mean(degraded))
        cascade = [features]
        for block in self.trunk:
            features = block(features)
            if isinstance(block, _CascadingBlock):
                features = _joined(self.joins, cascade, features)
        restored: Tensor = self.add_mean(self.tail(self.upsampler(features)))
        return restored


class _CascadingBlock(nn.Module):
    """Run one residual unit three times, each time beside all that came before (Sec. 3.3)."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.unit = nn.Sequential(
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=groups),
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=groups),
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel_size=1),
        )
        self.joins = _joins(channels, _UNITS)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        cascade = [features]
        for _ in range(_UNITS):
            refined = torch.relu(features + self.unit(features))
            features = _joined(self.joins, cascade, refined)
        return features


def _joins(channels: int, count: int) -> nn.ModuleList:
    """Return the 1×1 convolutions that join 2, 3, … sets of features."""
    layers = (nn.Conv2d((number + 2) * channels, channels, 1) for number in range(count))
    return nn.ModuleList(nn.Sequential(layer, nn.ReLU()) for layer in layers)


def _joined(joins: nn.ModuleList, cascade: list[Tensor], features: Tensor) -> Tensor:
    """Append ``features`` to the cascade and return all of it as C channels."""
    cascade.append(features)
    joined: Tensor = joins[len(cascade) - 2](torch.cat(cascade, dim=1))
    return joined


def _upsampler(scale: int, channels: int, groups: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for step in _STEPS[scale]:
        grown = nn.Conv2d(channels, channels * step**2, 3, padding=1, groups=groups)
        parts += [grown, nn.ReLU(), nn.PixelShuffle(step)]
    return nn.Sequential(*parts)
