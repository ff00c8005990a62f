"""No restoration: the score of the degraded image itself, through the whole of evaluation."""

from jaxtyping import Float
from torch import Tensor, nn

from src.models.backbones import BACKBONES


@BACKBONES.register(paper="the degraded input as it is", cost="none")
class Identity(nn.Module):
    """Return the input; has nothing to train.

    Args:
        in_channels: Image channels expected.
        out_channels: Image channels returned, as many.

    Raises:
        ValueError: If the two differ.
    """

    scale = 1
    multiple_of = 1
    min_size = 1
    global_context = False

    def __init__(self, in_channels: int = 3, out_channels: int = 3) -> None:
        super().__init__()
        if in_channels != out_channels:
            raise ValueError(
                f"identity returns its input, so {in_channels} channels cannot become "
                f"{out_channels}; choose a network."
            )
        self.in_channels, self.out_channels = in_channels, out_channels

    def forward(self, degraded: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return ``degraded``."""
        return degraded
