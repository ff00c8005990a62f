"""DemosaicNet (Gharbi et al., 2016, doi:10.1145/2980179.2982399): joint features at half size."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.core.types import AttentionFactory
from src.models.attention.none import NoAttention
from src.models.backbones import BACKBONES, Backbone
from src.models.blocks.trunk import any_global, he_init, interleaved


@BACKBONES.register(paper="Gharbi et al., 2016, doi:10.1145/2980179.2982399", cost="O(n)")
class DemosaicNet(Backbone):
    """Restore colour from a zero-filled mosaic; the defaults are the published Bayer network.

    The public weights know one phase, GRBG from the corner. The network is published with
    convolutions that drop the border; here the mosaic is mirrored about its outermost pixels
    before, which keeps the phase, and the size.

    Args:
        in_channels: Image channels expected; 3, of which the mosaic fills one a pixel.
        out_channels: Image channels returned.
        channels: Feature channels C.
        blocks: Convolutions from C to C at half size, between the first and the last.
        attention: Builds an attention block from ``channels``.
        attention_sites: After how many of ``blocks`` attention stands; None is the middle.

    Raises:
        ValueError: If there is no such site.
    """

    multiple_of = 2

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        channels: int = 64,
        blocks: int = 13,
        attention: AttentionFactory = NoAttention,
        attention_sites: Sequence[int] | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels)
        self.lost = 2 * (blocks + 2)  # pixels at each border, by the convolutions at half size
        self.pack = nn.Conv2d(in_channels, 4, kernel_size=2, stride=2)
        self.head = _layer(4, channels)
        layers = [_layer(channels, channels) for _ in range(blocks)]
        self.split = _layer(channels, 2 * channels)
        self.residual = nn.Conv2d(channels, 4 * out_channels, kernel_size=1)
        self.expand = nn.ConvTranspose2d(
            4 * out_channels, out_channels, kernel_size=2, stride=2, groups=out_channels
        )
        self.merge = _layer(in_channels + out_channels, channels)
        self.tail = nn.Conv2d(channels, out_channels, kernel_size=1)
        he_init(nn.ModuleList([self.pack, self.head, *layers, self.split, self.merge, self.tail]))
        self.trunk, sites = interleaved(layers, blocks, attention, channels, attention_sites)
        self.global_context = any_global(sites)

    def forward(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        """Restore ``degraded``, in [0, 1], of even H and W; the result is not clamped."""
        extended = _mirrored(degraded, self.lost + 2)
        features: Tensor = self.split(self.trunk(self.head(self.pack(extended))))
        filters, masks = features.chunk(2, dim=1)
        residual: Tensor = self.expand(self.residual(filters * masks))
        seen = extended[..., self.lost : -self.lost, self.lost : -self.lost]
        restored: Tensor = self.tail(self.merge(torch.cat([seen, residual], dim=1)))
        return restored[..., 1:-1, 1:-1]


def _layer(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, kernel_size=3), nn.ReLU())


def _mirrored(image: Float[Tensor, "b c h w"], margin: int) -> Float[Tensor, "b c h2 w2"]:
    """Extend all sides by mirroring about the outermost pixels, again and again if need be."""
    for axis in (-2, -1):
        last = image.shape[axis] - 1
        index = torch.arange(-margin, last + margin + 1, device=image.device)
        index = last - (index.remainder(max(1, 2 * last)) - last).abs()
        image = image.index_select(axis, index.clamp(min=0))
    return image
