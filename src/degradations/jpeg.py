"""JPEG compression by the real codec."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.ops.pillow import Subsampling, jpeg

_BLOCK = 8


class Jpeg(nn.Module):
    """Compress and decompress, one quality an image, drawn uniformly from ``quality``.

    The papers compress luma alone, stored as a one-channel JPEG (PANet, arXiv:2004.13824; ARCNN,
    arXiv:1504.06993). Their training patches are cut from compressed images, so that the 8×8
    blocks begin anywhere in a patch; ``random`` does the same to patches that are compressed after
    the crop, by an edge that is extended by 0 to 7 pixels and cut again. In evaluation mode blocks
    begin in the corner.

    Args:
        quality: (low, high) in 1 to 100, e.g. (10, 10), or (10, 40) for blind training.
        subsampling: Of chroma, for colour images: ``4:2:0``, ``4:2:2`` or ``4:4:4`` (none).
        grid: Where the blocks begin in training: ``random``, or in the ``corner``.

    Raises:
        ValueError: If not 1 <= low <= high <= 100, or for another subsampling or grid.
    """

    def __init__(
        self,
        quality: Sequence[int] = (10, 10),
        *,
        subsampling: Subsampling = "4:2:0",
        grid: Literal["random", "corner"] = "random",
    ) -> None:
        super().__init__()
        if len(quality) != 2 or not 1 <= quality[0] <= quality[1] <= 100:
            raise ValueError(
                f"quality must be [low, high] with 1 <= low <= high <= 100, not {list(quality)}; "
                "for one quality write it twice, e.g. [10, 10]."
            )
        for name, value, allowed in (
            ("subsampling", subsampling, ("4:4:4", "4:2:2", "4:2:0")),
            ("grid", grid, ("random", "corner")),
        ):
            if value not in allowed:
                raise ValueError(f"{name}={value!r} is unknown; take one of {allowed}.")
        self.low, self.high = quality
        self.subsampling, self.grid = subsampling, grid

    def forward(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Map images in [0, 1], of 1 or 3 channels; the codec runs on the CPU."""
        count = (len(clean), 1)
        drawn = torch.randint(
            self.low, self.high + 1, count, generator=generator, device=clean.device
        )
        start = torch.zeros_like(drawn).expand(-1, 2)
        if self.training and self.grid == "random":
            shape = (len(clean), 2)
            start = torch.randint(_BLOCK, shape, generator=generator, device=clean.device)
        settings = torch.cat([drawn, start], dim=1).tolist()
        return torch.stack(
            [self._compress(image, *row) for image, row in zip(clean, settings, strict=True)]
        )

    def _compress(self, image: Tensor, quality: int, top: int, left: int) -> Tensor:
        extended = F.pad(image[None], (left, 0, top, 0), mode="replicate")[0]
        compressed = jpeg(extended, quality=quality, subsampling=self.subsampling)
        return compressed[:, top:, left:]
