"""Channel attention of RCAN (Zhang et al., 2018, arXiv:1807.02758, Sec. 3.3)."""

from jaxtyping import Float
from torch import Tensor, nn

from src.models.attention import ATTENTION


class ChannelGate(nn.Module):
    """Turn a descriptor of each channel into a factor in (0, 1): shrink, ReLU, widen, sigmoid.

    Args:
        channels: Feature channels C.
        reduction: Ratio of C to the hidden width, which is at least 1.

    Raises:
        ValueError: If ``reduction`` is below 1.
    """

    def __init__(self, channels: int, *, reduction: int) -> None:
        if reduction < 1:
            raise ValueError(f"reduction={reduction}; it divides the channels and must be >= 1.")
        hidden = max(1, channels // reduction)
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, kernel_size=1),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, kernel_size=1),
            nn.Sigmoid(),
        )

    def forward(self, descriptor: Float[Tensor, "b c 1 1"]) -> Float[Tensor, "b c 1 1"]:
        """Return the factors."""
        factors: Tensor = self.layers(descriptor)
        return factors


@ATTENTION.register(paper="Zhang et al., 2018, arXiv:1807.02758", cost="O(n)")
class ChannelAttention(nn.Module):
    """Multiply each channel by a factor in (0, 1) made from the means of all channels.

    Args:
        channels: Feature channels C; any.
        reduction: Ratio of C to the hidden width of the gate, which is at least 1.
    """

    scale = 1

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        self.gate = ChannelGate(channels, reduction=reduction)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Weight the channels of ``features``, of any H, W >= 1."""
        factors: Tensor = self.gate(features.mean(dim=(2, 3), keepdim=True))
        return features * factors
