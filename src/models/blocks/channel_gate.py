"""The squeeze–excite gate: one factor in (0, 1) for each channel."""

from jaxtyping import Float
from torch import Tensor, nn


class ChannelGate(nn.Module):
    """Turn a descriptor of each channel into its factor: shrink, ReLU, widen, sigmoid.

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
