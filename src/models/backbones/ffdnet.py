"""FFDNet (Zhang et al., 2018, arXiv:1710.04026): denoising at half size, of a known level."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.core.types import AttentionFactory
from src.models.attention.none import NoAttention
from src.models.backbones import BACKBONES, Backbone
from src.models.blocks.trunk import any_global, he_init, interleaved


@BACKBONES.register(paper="Zhang et al., 2018, arXiv:1710.04026", cost="O(n)")
class FFDNet(Backbone):
    """Restore an image whose noise level is known; the defaults are the paper's colour network.

    The noise level enters as a map beside the image. An input with one channel more than the output
    carries it as the last one: σ/255 at every pixel, and it may vary over the image. An input
    without is taken to have the level ``sigma`` everywhere.

    Args:
        in_channels: Image channels expected: ``out_channels``, or one more for the noise map.
        out_channels: Image channels returned.
        channels: Feature channels C; 96 for colour, 64 for grey.
        blocks: Convolutions from C to C with ReLU between the first and the last layer; 10 for
            colour, 13 for grey.
        attention: Builds an attention block from ``channels``.
        attention_sites: After how many of ``blocks`` attention stands; None is the middle.
        sigma: Noise level on the 8-bit scale, where the input carries none; unused otherwise.

    Raises:
        ValueError: If the image channels do not fit each other, ``sigma`` is negative, or there is
            no such site.
    """

    multiple_of = 2

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        channels: int = 96,
        blocks: int = 10,
        attention: AttentionFactory = NoAttention,
        attention_sites: Sequence[int] | None = None,
        sigma: float = 25.0,
    ) -> None:
        if in_channels - out_channels not in {0, 1}:
            raise ValueError(
                f"FFDNet takes the channels that it returns, {out_channels}, or one more for the "
                f"noise map, not {in_channels}."
            )
        if sigma < 0:
            raise ValueError(f"sigma={sigma} is a standard deviation and must be >= 0.")
        super().__init__(in_channels, out_channels)
        self.sigma = sigma
        head = nn.Conv2d(4 * out_channels + 1, channels, kernel_size=3, padding=1)
        self.head = nn.Sequential(head, nn.ReLU())
        layers = [
            nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())
            for _ in range(blocks)
        ]
        self.tail = nn.Conv2d(channels, 4 * out_channels, kernel_size=3, padding=1)
        he_init(nn.ModuleList([self.head, *layers, self.tail]))
        self.trunk, sites = interleaved(layers, blocks, attention, channels, attention_sites)
        self.global_context = any_global(sites)

    def forward(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        """Restore ``degraded``, in [0, 1], of even H and W; the result is not clamped."""
        image = degraded[:, : self.out_channels]
        halved = F.pixel_unshuffle(image, 2)
        if self.in_channels > self.out_channels:
            level = F.avg_pool2d(degraded[:, self.out_channels :], kernel_size=2)
        else:
            level = torch.full_like(halved[:, :1], self.sigma / 255)
        features: Tensor = self.trunk(self.head(torch.cat([halved, level], dim=1)))
        return F.pixel_shuffle(self.tail(features), 2)
