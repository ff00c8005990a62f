"""JPEG and WebP compression by the real codecs."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.degradations.drawn import check_range, note, whole
from src.ops.pillow import Subsampling, jpeg, webp

_BLOCK = 8
_SUBSAMPLINGS: tuple[Subsampling, ...] = ("4:2:0", "4:2:2", "4:4:4")


class Jpeg(nn.Module):
    """Compress and decompress, one quality an image, drawn uniformly from ``quality``.

    The papers compress luma alone, stored as a one-channel JPEG (PANet, arXiv:2004.13824; ARCNN,
    arXiv:1504.06993). Their training patches are cut from compressed images, so that the 8×8
    blocks begin anywhere in a patch; ``random`` does the same to patches that are compressed after
    the crop, by an edge that is extended by 0 to 7 pixels and cut again. In evaluation mode blocks
    begin in the corner.

    Args:
        quality: (low, high) in 1 to 100, e.g. (10, 10), or (10, 40) for blind training.
        subsampling: Of chroma, for colour images: ``4:2:0``, ``4:2:2`` or ``4:4:4`` (none);
            ``random`` is each of them equally often in training, 4:2:0 in evaluation.
        grid: Where the blocks begin in training: ``random``, or in the ``corner``.

    Raises:
        ValueError: If not 1 <= low <= high <= 100, or for another subsampling or grid.
    """

    on_cpu = True

    def __init__(
        self,
        quality: Sequence[int] = (10, 10),
        *,
        subsampling: Subsampling | Literal["random"] = "4:2:0",
        grid: Literal["random", "corner"] = "random",
    ) -> None:
        super().__init__()
        if len(quality) != 2 or not 1 <= quality[0] <= quality[1] <= 100:
            raise ValueError(
                f"quality must be [low, high] with 1 <= low <= high <= 100, not {list(quality)}; "
                "for one quality write it twice, e.g. [10, 10]."
            )
        for name, value, allowed in (
            ("subsampling", subsampling, (*_SUBSAMPLINGS, "random")),
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
        chosen = self._subsamplings(drawn.flatten(), generator)
        note("quality", lambda: float(drawn.float().mean()))
        note("subsampling", lambda: " ".join(chosen))
        settings = zip(clean, drawn.flatten().tolist(), start.tolist(), chosen, strict=True)
        return torch.stack([_compressed(*row) for row in settings])

    def _subsamplings(
        self, drawn: Tensor, generator: torch.Generator | None
    ) -> Sequence[Subsampling]:
        """Return that of each image; ``drawn`` has one number an image."""
        if self.subsampling != "random":
            return [self.subsampling] * len(drawn)
        if not self.training:
            return _SUBSAMPLINGS[:1] * len(drawn)
        which = torch.randint_like(drawn, len(_SUBSAMPLINGS), generator=generator)
        return [_SUBSAMPLINGS[index] for index in which.tolist()]


def _compressed(image: Tensor, quality: int, start: list[int], subsampling: Subsampling) -> Tensor:
    top, left = start
    extended = F.pad(image[None], (left, 0, top, 0), mode="replicate")[0]
    return jpeg(extended, quality=quality, subsampling=subsampling)[:, top:, left:]


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
