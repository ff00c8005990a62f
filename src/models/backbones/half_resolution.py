"""The zoo's own network: a plain residual trunk at half resolution, for all four tasks."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.core.types import AttentionFactory
from src.models.attention.none import NoAttention
from src.models.backbones import BACKBONES, Backbone
from src.models.blocks.parts import ResidualBlock
from src.models.blocks.trunk import any_global, check_image_skip, residual_trunk


@BACKBONES.register(
    paper="this project; parts of arXiv:1609.05158 and arXiv:1707.02921",
    cost="O(n) without attention",
)
class HalfResolution(Backbone):
    """Add to an image what a residual trunk at half its resolution makes of it.

    At scale 1 (denoising, JPEG artefacts, a zero-filled mosaic) cells of 2×2 pixels are moved into
    channels before the trunk and back after it (Shi et al., 2016, arXiv:1609.05158), a quarter of
    the work at twice the reach; a cell is one period of a Bayer mosaic. Above, nothing is moved
    before the trunk: it works at the resolution of the small image, which is half of the target's
    or less. The trunk is EDSR's (Lim et al., 2017, arXiv:1707.02921): residual blocks without
    normalisation, one long skip. Its tensors have the same names and shapes at every scale, so
    each network can begin with the trunk of another.

    The last layer's output is added to the input, enlarged by torch's bicubic rule where the target
    is larger: a network whose last layer is zero returns its input, or the enlarged image.

    Args:
        in_channels: Image channels expected.
        out_channels: Image channels returned, as many.
        scale: Output size over input size, at least 1.
        channels: Feature channels C.
        blocks: Residual blocks; even where the attention stands in the middle.
        attention: Builds an attention block from ``channels``.
        attention_sites: After how many residual blocks an attention block stands, e.g. [0, 4, 8];
            each has its own weights. None is the middle.
        residual_scale: Factor on the branch of each residual block.

    Raises:
        ValueError: If the image channels differ, the scale is below 1, or there is no middle or
            no such site.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        scale: int = 1,
        *,
        channels: int = 64,
        blocks: int = 8,
        attention: AttentionFactory = NoAttention,
        attention_sites: Sequence[int] | None = None,
        residual_scale: float = 1.0,
    ) -> None:
        check_image_skip("HalfResolution", in_channels, out_channels)
        if scale < 1:
            raise ValueError(f"scale={scale} must be at least 1.")
        super().__init__(in_channels, out_channels, scale)
        self.multiple_of = cell = 2 if scale == 1 else 1
        row = (
            ResidualBlock(channels, activation=nn.ReLU(), residual_scale=residual_scale)
            for _ in range(blocks)
        )
        self.unshuffle = nn.PixelUnshuffle(cell)
        self.head = nn.Conv2d(in_channels * cell**2, channels, kernel_size=3, padding=1)
        self.trunk, sites = residual_trunk(row, blocks, attention, channels, attention_sites)
        self.global_context = any_global(sites)
        side = cell * scale  # target pixels along each side of one position of the trunk
        self.tail = nn.Conv2d(channels, out_channels * side**2, kernel_size=3, padding=1)
        self.shuffle = nn.PixelShuffle(side)

    def forward(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Restore ``degraded``, in [0, 1]; the result is not clamped.

        H and W are multiples of ``multiple_of``: even at scale 1, any above.
        """
        features: Tensor = self.head(self.unshuffle(degraded))
        features = features + self.trunk(features)
        change: Tensor = self.shuffle(self.tail(features))
        if self.scale == 1:
            return degraded + change
        return change + F.interpolate(degraded, scale_factor=self.scale, mode="bicubic")
