"""The non-local block (Wang et al., 2018, arXiv:1711.07971), embedded Gaussian."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.models.attention import ATTENTION


@ATTENTION.register(paper="Wang et al., 2018, arXiv:1711.07971", cost="O(n²)")
class NonLocalAttention(nn.Module):
    """Add to each pixel a mean over all pixels, weighted by exp(θ(x_i)·φ(x_j)) (Eqs. 1, 3, 6).

    The output projection starts at random; at zero, as the paper has it, where the block is added
    to a trained network.

    Args:
        channels: Feature channels C; any.
        reduction: Ratio of C to the channels of θ, φ and g; the paper halves (Sec. 3.3).

    Raises:
        ValueError: If ``reduction`` is below 1.
    """

    scale = 1
    identity_if_zero = "project"

    def __init__(self, channels: int, *, reduction: int = 2) -> None:
        if reduction < 1:
            raise ValueError(f"reduction={reduction}; it divides the channels and must be >= 1.")
        super().__init__()
        inner = max(1, channels // reduction)
        self.query = nn.Conv2d(channels, inner, kernel_size=1)
        self.key = nn.Conv2d(channels, inner, kernel_size=1)
        self.value = nn.Conv2d(channels, inner, kernel_size=1)
        self.project = nn.Conv2d(inner, channels, kernel_size=1)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Attend over all pixels of ``features``, of any H, W >= 1."""
        count, _, height, width = features.shape  # len() would fix the number of images in a trace
        query, key, value = (
            embed(features).flatten(2).transpose(1, 2)[:, None]  # (b, 1, hw, inner)
            for embed in (self.query, self.key, self.value)
        )
        # The fused kernels never keep the n² scores; the paper does not scale them.
        attended = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        image = attended[:, 0].transpose(1, 2).reshape(count, -1, height, width)
        projected: Tensor = self.project(image)
        return features + projected
