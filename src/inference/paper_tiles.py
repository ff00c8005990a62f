"""The recursive tiles behind the published numbers of PANet, PA-EDSR and CSNLN.

An image is quartered, each quarter with a margin of 10 pixels, until the pieces are small; the
margins are cut off again and the seams are hard. From the authors' implementations of Mei et al.,
2020, arXiv:2004.13824 and arXiv:2006.01424, whose test commands all ask for it.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from src.core.types import RestorationNet

PaperRule = Literal["panet", "csnln"]
SHAVE = 10
"""Margin of a quarter in input pixels."""

LEAST_PIXELS = 1000
"""Quartering ends at sides of about twice the margin and the scale, which must count as small."""


def restore_quartered(
    net: RestorationNet,
    degraded: Float[Tensor, "b i h w"],
    *,
    pixels: int,
    rule: PaperRule = "panet",
) -> Float[Tensor, "b o h2 w2"]:
    """Restore by quarters of quarters; there is always one split at least.

    A quarter larger than the image, which the authors cut wrongly, is the image here.

    Args:
        net: Maps a tile to a restored tile ``net.scale`` times as large.
        degraded: The whole image.
        pixels: Tiles of fewer input pixels are not split: 6800 in denoising, 6400 in demosaicing,
            JPEG and PA-EDSR, 3600 in CSNLN.
        rule: How tiles are made to suit the scale, see ``tile_side``.
    """
    height, width = degraded.shape[-2:]
    scale = net.scale
    tall, wide = (tile_side(size, scale, rule) for size in (height, width))
    output = degraded.new_empty(len(degraded), net.out_channels, height * scale, width * scale)
    for bottom in (False, True):
        for right in (False, True):
            rows, columns = _place(height, tall, last=bottom), _place(width, wide, last=right)
            tile = degraded[..., rows, columns]
            if tall * wide < pixels:
                restored = net(tile).to(output.dtype)
            else:
                restored = restore_quartered(net, tile, pixels=pixels, rule=rule)
            down = _kept(height * scale, height // 2 * scale, last=bottom)
            across = _kept(width * scale, width // 2 * scale, last=right)
            output[..., down, across] = restored[
                ..., _inner(restored.shape[-2], down), _inner(restored.shape[-1], across)
            ]
    return output


def tile_side(size: int, scale: int, rule: PaperRule) -> int:
    """Return the side of the two tiles along an axis of ``size`` input pixels.

    Half the axis and the margin; where the scale is not 1, PA-EDSR adds what is left over when the
    scale divides it, CSNLN what is missing to the next multiple, a whole scale if nothing is.
    """
    side = size // 2 + SHAVE
    if scale > 1:
        side += side % scale if rule == "panet" else scale - side % scale
    return min(side, size)


def _place(size: int, side: int, *, last: bool) -> slice:
    return slice(size - side, size) if last else slice(0, side)


def _kept(size: int, half: int, *, last: bool) -> slice:
    return slice(half, size) if last else slice(0, half)


def _inner(side: int, kept: slice) -> slice:
    """Return the part of a restored tile that is kept: its beginning or its end."""
    length = kept.stop - kept.start
    return slice(0, length) if kept.start == 0 else slice(side - length, side)
