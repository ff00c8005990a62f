"""DnCNN (Zhang et al., 2017, arXiv:1608.03981): convolutions that predict the noise."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from src.core.types import AttentionFactory
from src.models.attention.none import NoAttention
from src.models.backbones import BACKBONES, Backbone
from src.models.blocks.trunk import any_global, check_image_skip, he_init, interleaved


@BACKBONES.register(paper="Zhang et al., 2017, arXiv:1608.03981", cost="O(n)")
class DnCNN(Backbone):
    """Subtract the predicted noise from an image; the defaults are DnCNN-S, of 17 layers.

    The blind networks, DnCNN-B, CDnCNN-B and DnCNN-3, have 20 layers: ``blocks`` is 18. For
    super-resolution DnCNN-3 is given the bicubically enlarged image. With one input channel more
    than output channels it is FDnCNN of the same authors' code: the last channel is the map of
    σ / 255, and the network returns the image itself.

    Args:
        in_channels: Image channels expected.
        out_channels: Image channels returned, as many, or one less.
        channels: Feature channels C.
        blocks: Convolutions from C to C with ReLU between the first and the last layer.
        attention: Builds an attention block from ``channels``.
        attention_sites: After how many of ``blocks`` attention stands; None is the middle.
        batch_norm: Whether ``blocks`` normalise over the batch before their ReLU, as in the
            paper's training. Public weights have it merged into convolutions with bias: False.

    Raises:
        ValueError: If the image channels differ, or there is no such site.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        channels: int = 64,
        blocks: int = 15,
        attention: AttentionFactory = NoAttention,
        attention_sites: Sequence[int] | None = None,
        batch_norm: bool = True,
    ) -> None:
        if in_channels != out_channels + 1:
            check_image_skip("DnCNN", in_channels, out_channels)
        super().__init__(in_channels, out_channels)

        def block() -> nn.Sequential:
            convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=not batch_norm)
            norm = [nn.BatchNorm2d(channels)] if batch_norm else []
            return nn.Sequential(convolution, *norm, nn.ReLU())

        self.head = nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1), nn.ReLU())
        layers = [block() for _ in range(blocks)]
        self.tail = nn.Conv2d(channels, out_channels, kernel_size=3, padding=1)
        he_init(nn.ModuleList([self.head, *layers, self.tail]))
        self.trunk, sites = interleaved(layers, blocks, attention, channels, attention_sites)
        self.global_context = any_global(sites)

    def forward(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        """Restore ``degraded``, in [0, 1], of any H, W >= 1; the result is not clamped."""
        result: Tensor = self.tail(self.trunk(self.head(degraded)))
        return degraded - result if self.in_channels == self.out_channels else result
