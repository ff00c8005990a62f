"""RCAN (Zhang et al., 2018, arXiv:1807.02758): residual in residual, with channel attention."""

from jaxtyping import Float
from torch import Tensor, nn

from src.core.types import AttentionFactory
from src.models.attention.channel import ChannelAttention
from src.models.backbones import BACKBONES, Backbone
from src.models.blocks.parts import mean_shifts, upsampler
from src.models.blocks.trunk import any_global, attention_site


@BACKBONES.register(paper="Zhang et al., 2018, arXiv:1807.02758", cost="O(n)")
class RCAN(Backbone):
    """Restore an image s times as large; the defaults are the published network.

    Args:
        in_channels: Image channels expected.
        out_channels: Image channels returned.
        scale: Output size over input size: 1, 2, 3, 4 or 8; at 1 there is no upsampler.
        channels: Feature channels C.
        groups: Residual groups G.
        blocks: Residual blocks B in each group, with attention in every one.
        attention: Builds an attention block from ``channels``.

    Raises:
        ValueError: If the scale has no upsampler.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        scale: int = 4,
        *,
        channels: int = 64,
        groups: int = 10,
        blocks: int = 20,
        attention: AttentionFactory = ChannelAttention,
    ) -> None:
        super().__init__(in_channels, out_channels, scale)
        self.sub_mean, self.add_mean = mean_shifts(in_channels, out_channels)
        self.head = nn.Conv2d(in_channels, channels, kernel_size=3, padding=1)
        self.trunk = _Residual(
            *(
                _Residual(
                    *(_AttendedBlock(attention, channels) for _ in range(blocks)), _conv(channels)
                )
                for _ in range(groups)
            ),
            _conv(channels),
        )
        self.upsampler = upsampler(scale, channels)
        self.tail = nn.Conv2d(channels, out_channels, kernel_size=3, padding=1)
        self.global_context = any_global(
            module.attention
            for module in self.trunk.modules()
            if isinstance(module, _AttendedBlock)
        )

    def forward(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Restore ``degraded``, in [0, 1], of any H, W >= 1; the result is not clamped."""
        features: Tensor = self.trunk(self.head(self.sub_mean(degraded)))
        restored: Tensor = self.add_mean(self.tail(self.upsampler(features)))
        return restored


class _Residual(nn.Module):
    """Modules in a row with a skip around them: a residual group (Sec. 3.2), or the trunk."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*modules)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        branch: Tensor = self.body(features)
        return features + branch


class _AttendedBlock(nn.Module):
    """The residual channel attention block (Sec. 3.4): two convolutions, then attention."""

    def __init__(self, attention: AttentionFactory, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _conv(channels), _conv(channels)
        self.attention = attention_site(attention, channels)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        branch: Tensor = self.attention(self.conv2(self.conv1(features).relu()))
        return features + branch


def _conv(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel_size=3, padding=1)
