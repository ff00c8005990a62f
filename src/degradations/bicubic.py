"""Bicubic down-scaling: MATLAB's, which made DIV2K and all benchmarks, and Pillow's."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.ops.pillow import pillow_resize
from src.ops.resize import BORDERS, Border, downscale


class Bicubic(nn.Module):
    """Shrink by MATLAB's anti-aliased bicubic rule.

    Networks are fed 8-bit images (Agustsson and Timofte, 2017, doi:10.1109/CVPRW.2017.150). The
    literature's "Bicubic" rows come from luma that was not rounded in between (``clip8=False``).

    Args:
        scale: By how much each side shrinks; 1 only rounds.
        clip8: Round and clip after each of the two passes, as MATLAB does with 8-bit images.
        border: What lies beyond the border: ``replicate``, its pixels again, as in DIV2K, SelfExSR
            and RCAN's benchmark images, or ``mirror``, as in those of IMDN and PAN.

    Raises:
        ValueError: If ``scale`` is below 1, or there is no such border.
    """

    draws = False

    def __init__(self, scale: int = 2, *, clip8: bool = True, border: Border = "replicate") -> None:
        super().__init__()
        if scale < 1:
            raise ValueError(f"scale={scale} must be at least 1; papers use 2, 3 and 4.")
        if border not in BORDERS:
            raise ValueError(f"border={border!r} is unknown; take one of {BORDERS}.")
        self.scale, self.clip8, self.border = scale, clip8, border

    def forward(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b c h2 w2"]:
        """Map images in [0, 1], of sides that are multiples of ``scale``; nothing is drawn."""
        return downscale(clean, self.scale, clip8=self.clip8, border=self.border)


class PillowBicubic(Bicubic):
    """Shrink by Pillow's anti-aliased bicubic rule for 8-bit images, as in scores made in Python.

    Results are not comparable with those from MATLAB's rule.

    Args:
        scale: By how much each side shrinks; 1 only rounds.

    Raises:
        ValueError: If ``scale`` is below 1.
    """

    on_cpu = True

    def __init__(self, scale: int = 2) -> None:
        super().__init__(scale)

    def forward(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b c h2 w2"]:
        """Map images in [0, 1], of sides that are multiples of ``scale``; nothing is drawn."""
        height, width = clean.shape[-2:]
        return pillow_resize(clean, (height // self.scale, width // self.scale))
