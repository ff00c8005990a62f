"""No attention: the ablation."""

from jaxtyping import Float
from torch import Tensor, nn

from src.models.attention import ATTENTION


@ATTENTION.register(paper="the ablation", cost="O(1)")
class NoAttention(nn.Module):
    """Return the features as they are.

    Args:
        channels: Feature channels C; any.
    """

    scale = 1
    global_context = False

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return ``features``."""
        return features
