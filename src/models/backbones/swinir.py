"""SwinIR (Liang et al., 2021, arXiv:2108.10257): transformer blocks in shifted windows."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.core.types import AttentionFactory
from src.models.attention.window import WindowAttention
from src.models.backbones import BACKBONES, Backbone
from src.models.blocks.parts import ChannelNorm, mean_shifts, upsampler
from src.models.blocks.trunk import any_global, attention_site, check_image_skip

_UPSAMPLED = 64  # channels of the upsampler
_EXPANSION = 2  # hidden channels of the feed-forward part over C


@BACKBONES.register(paper="Liang et al., 2021, arXiv:2108.10257", cost="O(n·M²), M = window")
class SwinIR(Backbone):
    """Restore an image s times as large; the defaults are the network for classical SR.

    At scale 1 it is the network for denoising, which adds its input to its output. With window
    attention every other block shifts its windows. Stochastic depth, a training device, is left
    out.

    Args:
        in_channels: Image channels expected.
        out_channels: Image channels returned; as many at scale 1.
        scale: Output size over input size: 1, 2, 3, 4 or 8.
        channels: Feature channels C.
        groups: Residual groups of transformer blocks.
        blocks: Transformer blocks in each group, with attention in every one.
        attention: Builds an attention block from ``channels``.

    Raises:
        ValueError: If the scale has no upsampler, or image channels differ at scale 1.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        scale: int = 2,
        *,
        channels: int = 180,
        groups: int = 6,
        blocks: int = 6,
        attention: AttentionFactory = WindowAttention,
    ) -> None:
        if scale == 1:
            check_image_skip("SwinIR at scale 1", in_channels, out_channels)
        super().__init__(in_channels, out_channels, scale)
        self.sub_mean, self.add_mean = mean_shifts(in_channels, out_channels)
        self.head = nn.Conv2d(in_channels, channels, kernel_size=3, padding=1)
        self.embed_norm, self.trunk_norm = ChannelNorm(channels), ChannelNorm(channels)
        self.groups = nn.Sequential(*(_Group(channels, blocks, attention) for _ in range(groups)))
        self.trunk_conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.tail = _tail(channels, out_channels, scale)
        attended = [module for module in self.modules() if isinstance(module, _Block)]
        self.global_context = any_global(block.attention for block in attended)
        windows = {m.window for m in self.modules() if isinstance(m, WindowAttention)}
        # Windows pad by themselves; the authors' scores are for images mirrored to a multiple.
        self.multiple_of = max(windows, default=1)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Restore ``degraded``, in [0, 1], of any H, W >= 1; the result is not clamped."""
        centred = self.sub_mean(degraded)
        head: Tensor = self.head(centred)
        deep = self.trunk_norm(self.groups(self.embed_norm(head)))
        restored: Tensor = self.tail(head + self.trunk_conv(deep))
        if self.scale == 1:
            restored = centred + restored
        shifted: Tensor = self.add_mean(restored)
        return shifted


class _Group(nn.Module):
    """The residual Swin transformer block (Sec. 3.2): blocks, a convolution, a skip."""

    def __init__(self, channels: int, blocks: int, attention: AttentionFactory) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(_Block(channels, attention, shifted=index % 2 == 1) for index in range(blocks))
        )
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        branch: Tensor = self.conv(self.blocks(features))
        return features + branch


class _Block(nn.Module):
    """Attention, then a feed-forward network on each pixel."""

    def __init__(self, channels: int, attention: AttentionFactory, *, shifted: bool) -> None:
        super().__init__()
        self.attention = attention_site(attention, channels)
        if isinstance(self.attention, WindowAttention):
            self.attention.shifted = shifted
        self.norm = ChannelNorm(channels)
        self.expand = nn.Linear(channels, _EXPANSION * channels)
        self.project = nn.Linear(_EXPANSION * channels, channels)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        features = self.attention(features)
        pixels = self.norm(features).permute(0, 2, 3, 1)
        branch: Tensor = self.project(F.gelu(self.expand(pixels)))
        return features + branch.permute(0, 3, 1, 2)


def _tail(channels: int, out_channels: int, scale: int) -> nn.Sequential:
    """Return the reconstruction (Sec. 3.1): a convolution, after an upsampler where it enlarges."""
    if scale == 1:
        return nn.Sequential(nn.Conv2d(channels, out_channels, kernel_size=3, padding=1))
    return nn.Sequential(
        nn.Conv2d(channels, _UPSAMPLED, kernel_size=3, padding=1),
        nn.LeakyReLU(0.01),
        upsampler(scale, _UPSAMPLED),
        nn.Conv2d(_UPSAMPLED, out_channels, kernel_size=3, padding=1),
    )
