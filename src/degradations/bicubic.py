"""Bicubic down-scaling, as the low-resolution images of DIV2K and of all benchmarks were made."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.ops.resize import downscale


class Bicubic(nn.Module):
    """Shrink by MATLAB's anti-aliased bicubic rule.

    Networks are fed 8-bit images (Agustsson and Timofte, 2017, doi:10.1109/CVPRW.2017.150). The
    literature's "Bicubic" rows come from luma that was not rounded in between (``clip8=False``).

    Args:
        scale: By how much each side shrinks; 1 only rounds.
        clip8: Round and clip after each of the two passes, as MATLAB does with 8-bit images.

    Raises:
        ValueError: If ``scale`` is below 1.
    """

    def __init__(self, scale: int = 2, *, clip8: bool = True) -> None:
        super().__init__()
        if scale < 1:
            raise ValueError(f"scale={scale} must be at least 1; papers use 2, 3 and 4.")
        self.scale, self.clip8 = scale, clip8

    def forward(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b c h2 w2"]:
        """Map images in [0, 1], of sides that are multiples of ``scale``; nothing is drawn."""
        return downscale(clean, self.scale, clip8=self.clip8)
