"""The stand-in for attention: two 1×1 convolutions, as many parameters and no other pixel."""

from jaxtyping import Float
from torch import Tensor, nn

from src.models.attention import ATTENTION


@ATTENTION.register(paper="the ablation at equal parameters", cost="O(n)")
class Pointwise(nn.Module):
    """Add to each pixel what two 1×1 convolutions make of it alone.

    Args:
        channels: Feature channels C; any.
        hidden: Channels between the two: C·(2·``hidden`` + 1) + ``hidden`` parameters.

    Raises:
        ValueError: If ``hidden`` is below 1.
    """

    scale = 1
    global_context = False
    identity_if_zero = "layers.2"

    def __init__(self, channels: int, *, hidden: int = 48) -> None:
        if hidden < 1:
            raise ValueError(f"hidden={hidden} must be 1 or more.")
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, kernel_size=1),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, kernel_size=1),
        )

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return ``features`` of any H, W >= 1, with what the layers add."""
        added: Tensor = self.layers(features)
        return features + added
