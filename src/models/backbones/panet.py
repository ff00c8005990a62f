"""PANet (Mei et al., 2020, arXiv:2004.13824): residual blocks around one pyramid attention."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.core.types import AttentionFactory
from src.models.attention.pyramid import PyramidAttention
from src.models.backbones import BACKBONES, Backbone
from src.models.blocks.parts import MeanShift, ResidualBlock
from src.models.blocks.trunk import any_global, residual_trunk


@BACKBONES.register(paper="Mei et al., 2020, arXiv:2004.13824", cost="O(n²) with pyramid attention")
class PANet(Backbone):
    """Restore an image of the same size; the defaults are the published network.

    The output is the image itself, not a residual, and is not clamped.

    Args:
        in_channels: Image channels expected.
        out_channels: Image channels returned.
        channels: Feature channels C.
        blocks: Residual blocks; even where the attention stands in the middle.
        attention: Builds an attention block from ``channels``.
        attention_sites: After how many residual blocks an attention block stands, e.g.
            [0, 40, 80]; each has its own weights. None is the middle, as published.
        residual_scale: Factor on the branch of each residual block.
        shared_activation: One PReLU scalar for all residual blocks, as the authors' weights
            have; False gives each block its own.
        unshuffle: Side of the pixel blocks moved into channels before the network and back after
            it; 1, the paper's, works at full resolution.
        image_skip: Whether the input is added to the output; the paper's network has no such skip.

    Raises:
        ValueError: If there is no middle or no such site, or an image skip would join unequal
            channels.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        channels: int = 64,
        blocks: int = 80,
        attention: AttentionFactory = PyramidAttention,
        attention_sites: Sequence[int] | None = None,
        residual_scale: float = 1.0,
        shared_activation: bool = True,
        unshuffle: int = 1,
        image_skip: bool = False,
    ) -> None:
        if image_skip and in_channels != out_channels:
            raise ValueError(f"image_skip needs equal channels, not {in_channels}, {out_channels}.")
        super().__init__(in_channels, out_channels)
        self.multiple_of = self.unshuffle = unshuffle
        self.image_skip = image_skip
        # Unused by the published network as well, but part of its checkpoints and its count.
        self.sub_mean, self.add_mean = MeanShift(-1), MeanShift(1)
        shared = nn.PReLU()
        row = (
            ResidualBlock(
                channels,
                activation=shared if shared_activation else nn.PReLU(),
                residual_scale=residual_scale,
            )
            for _ in range(blocks)
        )
        cell = unshuffle**2
        self.head = nn.Conv2d(in_channels * cell, channels, kernel_size=3, padding=1)
        self.trunk, sites = residual_trunk(row, blocks, attention, channels, attention_sites)
        self.global_context = any_global(sites)
        self.tail = nn.Conv2d(channels, out_channels * cell, kernel_size=3, padding=1)

    def forward(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        """Restore ``degraded``, in [0, 1]; H and W are multiples of ``multiple_of``."""
        features: Tensor = self.head(F.pixel_unshuffle(degraded, self.unshuffle))
        features = features + self.trunk(features)
        restored = F.pixel_shuffle(self.tail(features), self.unshuffle)
        return degraded + restored if self.image_skip else restored
