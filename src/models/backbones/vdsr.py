"""VDSR (Kim et al., 2016, arXiv:1511.04587): twenty convolutions that predict what is missing."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from src.core.types import AttentionFactory
from src.models.attention.none import NoAttention
from src.models.backbones import BACKBONES, Backbone
from src.models.blocks.trunk import any_global, check_image_skip, he_init, interleaved


@BACKBONES.register(paper="Kim et al., 2016, arXiv:1511.04587", cost="O(n)")
class VDSR(Backbone):
    """Add the missing detail to an image of the target's size; the defaults are the paper's depth.

    For super-resolution the input is the bicubically enlarged image, of which the published
    network sees the luma alone; one network serves all scales. Its count, 664,704, is that of
    convolutions without bias for one channel.

    Args:
        in_channels: Image channels expected.
        out_channels: Image channels returned, as many.
        channels: Feature channels C.
        blocks: Convolutions from C to C with ReLU between the first and the last layer.
        attention: Builds an attention block from ``channels``.
        attention_sites: After how many of ``blocks`` attention stands; None is the middle.

    Raises:
        ValueError: If the image channels differ, or there is no such site.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        channels: int = 64,
        blocks: int = 18,
        attention: AttentionFactory = NoAttention,
        attention_sites: Sequence[int] | None = None,
    ) -> None:
        check_image_skip("VDSR", in_channels, out_channels)
        super().__init__(in_channels, out_channels)
        self.head = nn.Sequential(_conv(in_channels, channels), nn.ReLU())
        layers = [nn.Sequential(_conv(channels, channels), nn.ReLU()) for _ in range(blocks)]
        self.tail = _conv(channels, out_channels)
        he_init(nn.ModuleList([self.head, *layers, self.tail]))
        self.trunk, sites = interleaved(layers, blocks, attention, channels, attention_sites)
        self.global_context = any_global(sites)

    def forward(self, degraded: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Restore ``degraded``, in [0, 1], of any H, W >= 1; the result is not clamped."""
        detail: Tensor = self.tail(self.trunk(self.head(degraded)))
        return degraded + detail


def _conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
