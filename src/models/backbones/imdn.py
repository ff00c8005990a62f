"""IMDN (Hui et al., 2019, arXiv:1909.11856): information distilled step by step."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.core.types import AttentionFactory
from src.models.attention.channel import ChannelGate
from src.models.attention.none import NoAttention
from src.models.backbones import BACKBONES, Backbone
from src.models.blocks.trunk import interleaved

_SLOPE = 0.05  # of the leaky ReLU


@BACKBONES.register(paper="Hui et al., 2019, arXiv:1909.11856", cost="O(n)")
class IMDN(Backbone):
    """Restore an image s times as large with few parameters; the defaults are the published ones.

    The outputs of all blocks are joined before the upsampler, which is one convolution and one
    pixel shuffle whatever the scale.

    Args:
        in_channels: Image channels expected.
        out_channels: Image channels returned.
        scale: Output size over input size, at least 1.
        channels: Feature channels C, a multiple of 4.
        blocks: Multi-distillation blocks.
        attention: Builds an attention block from ``channels``.
        attention_sites: After how many blocks attention stands; None is the middle.

    Raises:
        ValueError: If C is no multiple of 4, ``scale`` or ``blocks`` is below 1, or there is no
            such site.
    """

    global_context = True  # the gate of each block sees the contrast of the whole image

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        scale: int = 2,
        *,
        channels: int = 64,
        blocks: int = 6,
        attention: AttentionFactory = NoAttention,
        attention_sites: Sequence[int] | None = None,
    ) -> None:
        if channels % 4:
            raise ValueError(f"channels={channels} is no multiple of 4; a quarter is distilled.")
        if scale < 1 or blocks < 1:
            raise ValueError(f"scale={scale}, blocks={blocks}: both must be at least 1.")
        super().__init__(in_channels, out_channels, scale)
        self.head = nn.Conv2d(in_channels, channels, kernel_size=3, padding=1)
        row = [_DistillationBlock(channels) for _ in range(blocks)]
        self.trunk, _ = interleaved(row, blocks, attention, channels, attention_sites)
        self.join = nn.Conv2d(blocks * channels, channels, kernel_size=1)
        self.smooth = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.tail = nn.Conv2d(channels, out_channels * scale**2, kernel_size=3, padding=1)

    def forward(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Restore ``degraded``, in [0, 1], of any H, W >= 1; the result is not clamped."""
        head: Tensor = self.head(degraded)
        features, outputs = head, []
        for block in self.trunk:
            features = block(features)
            if isinstance(block, _DistillationBlock):
                outputs.append(features)
            elif outputs:  # attention refines what the block before it hands on
                outputs[-1] = features
        joined = F.leaky_relu(self.join(torch.cat(outputs, dim=1)), _SLOPE)
        return F.pixel_shuffle(self.tail(head + self.smooth(joined)), self.scale)


class _DistillationBlock(nn.Module):
    """Set a quarter of the channels aside after each of three convolutions (Sec. 3.2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        kept = channels // 4
        self.split = [kept, channels - kept]
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(channels - kept, channels, kernel_size=3, padding=1)
        self.conv3 = nn.Conv2d(channels - kept, channels, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(channels - kept, kept, kernel_size=3, padding=1)
        self.gate = ChannelGate(channels, reduction=16)
        self.join = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        rest, distilled = features, []
        for convolution in (self.conv1, self.conv2, self.conv3):
            kept, rest = torch.split(F.leaky_relu(convolution(rest), _SLOPE), self.split, dim=1)
            distilled.append(kept)
        joined = torch.cat([*distilled, self.conv4(rest)], dim=1)
        branch: Tensor = self.join(joined * self.gate(_contrast(joined)))
        return features + branch


def _contrast(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
    """Return the mean plus the standard deviation of each channel (Sec. 3.2)."""
    mean = features.mean(dim=(2, 3), keepdim=True)
    variance = (features - mean).square().mean(dim=(2, 3), keepdim=True)
    return mean + variance.clamp(min=1e-12).sqrt()  # the root has no slope at zero
