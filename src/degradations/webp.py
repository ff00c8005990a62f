"""WebP compression by the real codec."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.degradations.drawn import check_range, whole
from src.ops.pillow import webp


class Webp(nn.Module):
    """Compress and decompress by lossy WebP, one quality an image, drawn uniformly.

    Args:
        quality: (low, high) in 1 to 100.

    Raises:
        ValueError: If not 1 <= low <= high <= 100.
    """

    def __init__(self, quality: Sequence[int] = (30, 95)) -> None:
        super().__init__()
        low, high = check_range("quality", quality, least=1)
        if high > 100:
            raise ValueError(f"quality={list(quality)} must be within 1 to 100.")
        self.low, self.high = int(low), int(high)

    def forward(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Map images in [0, 1], of 1 or 3 channels; the codec runs on the CPU."""
        between = (self.low, self.high)
        return torch.stack(
            [webp(image, quality=whole(generator, between, "quality")) for image in clean]
        )
