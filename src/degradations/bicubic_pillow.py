"""Bicubic down-scaling by Pillow, as scores that were made in Python rest on it."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.ops.pillow_resize import pillow_resize


class PillowBicubic(nn.Module):
    """Shrink by Pillow's anti-aliased bicubic rule for 8-bit images.

    Results are not comparable with those from MATLAB's rule, :mod:`src.degradations.bicubic`.

    Args:
        scale: By how much each side shrinks; 1 only rounds.

    Raises:
        ValueError: If ``scale`` is below 1.
    """

    def __init__(self, scale: int = 2) -> None:
        super().__init__()
        if scale < 1:
            raise ValueError(f"scale={scale} must be at least 1; papers use 2, 3 and 4.")
        self.scale = scale

    def forward(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b c h2 w2"]:
        """Map images in [0, 1], of sides that are multiples of ``scale``; nothing is drawn."""
        height, width = clean.shape[-2:]
        return pillow_resize(clean, (height // self.scale, width // self.scale))
