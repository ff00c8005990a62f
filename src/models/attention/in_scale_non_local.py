"""In-scale non-local attention of CSNLN (Mei et al., 2020, arXiv:2006.01424), exact."""

from jaxtyping import Float
from torch import Tensor, nn

from src.models.attention import ATTENTION
from src.models.blocks.parts import embedding
from src.ops.attention.patch_attention import Implementation, pixel_attention


@ATTENTION.register(paper="Mei et al., 2020, arXiv:2006.01424", cost="O(n²)")
class InScaleNonLocalAttention(nn.Module):
    """Replace each pixel by a mean over all pixels, weighted by plain dot products.

    As in the authors' weights the scores are neither scaled nor normalised, and there is no
    identity path: the backbone joins the result with what it has.

    Args:
        channels: Feature channels C; must be a multiple of ``reduction``.
        reduction: Ratio of C to the channels in which pixels are compared.
        window: Side of the search window in pixels; None sees all. Time is then linear in pixels.

    Raises:
        ValueError: If ``reduction`` does not divide ``channels``.
    """

    scale = 1
    keeps_identity = False
    nothing_if_zero = "value"
    implementation: Implementation = "auto"  # of a window; else PyTorch has one form only

    def __init__(self, channels: int, *, reduction: int = 2, window: int | None = None) -> None:
        if channels % reduction:
            raise ValueError(f"channels={channels} is not a multiple of reduction={reduction}.")
        super().__init__()
        self.query = embedding(channels, channels // reduction)
        self.key = embedding(channels, channels // reduction)
        self.value = embedding(channels, channels)
        self.window = window

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Attend over all pixels of ``features``, of any H, W >= 1."""
        embedded = (embed(features) for embed in (self.query, self.key, self.value))
        return pixel_attention(*embedded, window=self.window, implementation=self.implementation)
