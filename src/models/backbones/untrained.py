"""What needs no training: the first rows of every table.

The identity shows the score of the degraded image itself, through the whole of evaluation.
"""

from jaxtyping import Float
from torch import Tensor

from src.models.backbones import BACKBONES, Backbone
from src.ops.resize import upscale


@BACKBONES.register(name="identity", paper="the degraded input as it is", cost="none")
class Identity(Backbone):
    """Return the input; has nothing to train.

    Args:
        in_channels: Image channels expected.
        out_channels: Image channels returned, as many.

    Raises:
        ValueError: If the two differ.
    """

    global_context = False

    def __init__(self, in_channels: int = 3, out_channels: int = 3) -> None:
        super().__init__(in_channels, out_channels)
        if in_channels != out_channels:
            raise ValueError(
                f"identity returns its input, so {in_channels} channels cannot become "
                f"{out_channels}; choose a network."
            )

    def forward(self, degraded: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return ``degraded``."""
        return degraded


@BACKBONES.register(name="bicubic", paper="Keys, 1981, doi:10.1109/TASSP.1981.1163711", cost="O(n)")
class Bicubic(Backbone):
    """Enlarge by MATLAB's bicubic rule; has nothing to train.

    Args:
        in_channels: Image channels expected.
        out_channels: Image channels returned, as many.
        scale: By how much each side grows.

    Raises:
        ValueError: If the channels differ, or ``scale`` is below 1.
    """

    global_context = False

    def __init__(self, in_channels: int = 3, out_channels: int = 3, *, scale: int = 2) -> None:
        super().__init__(in_channels, out_channels, scale)
        if in_channels != out_channels:
            raise ValueError(
                f"bicubic keeps the channels, so {in_channels} cannot become {out_channels}; "
                "choose a network."
            )
        if scale < 1:
            raise ValueError(f"scale={scale} must be at least 1.")

    def forward(self, degraded: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Enlarge ``degraded``, in [0, 1]; the result may overshoot."""
        return upscale(degraded, self.scale)
