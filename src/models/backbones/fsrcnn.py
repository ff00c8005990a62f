"""FSRCNN (Dong et al., 2016, arXiv:1608.00367): small features, enlarged by one deconvolution."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from src.core.types import AttentionFactory
from src.models.attention.none import NoAttention
from src.models.backbones import BACKBONES, Backbone
from src.models.blocks.trunk import any_global, he_init, interleaved


@BACKBONES.register(paper="Dong et al., 2016, arXiv:1608.00367", cost="O(n)")
class FSRCNN(Backbone):
    """Restore an image s times as large, as luma; the defaults are the paper's FSRCNN(56, 12, 4).

    Args:
        in_channels: Image channels expected; 1 in the paper.
        out_channels: Image channels returned.
        scale: Output size over input size, at least 1.
        channels: Feature channels C of the mapping layers, the paper's s.
        outer_channels: Feature channels before and after them, the paper's d.
        blocks: Mapping layers from C to C, the paper's m.
        attention: Builds an attention block from ``channels``.
        attention_sites: After how many of ``blocks`` attention stands; None is the middle.

    Raises:
        ValueError: If ``scale`` is below 1, or there is no such site.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        scale: int = 2,
        *,
        channels: int = 12,
        outer_channels: int = 56,
        blocks: int = 4,
        attention: AttentionFactory = NoAttention,
        attention_sites: Sequence[int] | None = None,
    ) -> None:
        if scale < 1:
            raise ValueError(f"scale={scale} must be at least 1.")
        super().__init__(in_channels, out_channels, scale)
        self.head = _layer(in_channels, outer_channels, 5)
        self.shrink = _layer(outer_channels, channels, 1)
        row = [_layer(channels, channels, 3) for _ in range(blocks)]
        self.trunk, sites = interleaved(row, blocks, attention, channels, attention_sites)
        self.expand = _layer(channels, outer_channels, 1)
        self.tail = nn.ConvTranspose2d(
            outer_channels, out_channels, 9, stride=scale, padding=4, output_padding=scale - 1
        )
        he_init(nn.ModuleList([self.head, self.shrink, *self.trunk, self.expand]))
        nn.init.normal_(self.tail.weight, std=0.001)  # Sec. 4.1
        self.global_context = any_global(sites)

    def forward(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Restore ``degraded``, in [0, 1], of any H, W >= 1; the result is not clamped."""
        features: Tensor = self.expand(self.trunk(self.shrink(self.head(degraded))))
        restored: Tensor = self.tail(features)
        return restored


def _layer(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
    return nn.Sequential(convolution, nn.PReLU(out_channels))
