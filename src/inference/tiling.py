"""Images in pieces: overlapping tiles, the papers' quarters of quarters, eight turns.

The quarters are behind the published numbers of PANet, PA-EDSR and CSNLN: an image is cut into
four, each with a margin of 10 pixels, until the pieces are small; the margins are cut off again and
the seams are hard. From the authors' implementations of Mei et al., 2020, arXiv:2004.13824 and
arXiv:2006.01424, whose test commands all ask for it.
"""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from src.core.types import RestorationNet

PaperRule = Literal["panet", "csnln"]
SHAVE = 10
"""Margin of a quarter in input pixels."""

LEAST_PIXELS = 1000
"""Quartering ends at sides of about twice the margin and the scale, which must count as small."""


def tile_starts(size: int, tile: int, overlap: int) -> list[int]:
    """Return where tiles begin along an axis: even steps, the last one flush with the end.

    Raises:
        ValueError: If the overlap leaves no progress from tile to tile.
    """
    if not 0 <= overlap < tile:
        raise ValueError(f"overlap={overlap} must be at least 0 and below tile={tile}.")
    if size <= tile:
        return [0]
    count = -(-(size - overlap) // (tile - overlap))
    return [round(index * (size - tile) / (count - 1)) for index in range(count)]


def restore_tiled(
    net: RestorationNet, degraded: Float[Tensor, "b i h w"], *, tile: int, overlap: int
) -> Float[Tensor, "b o h2 w2"]:
    """Restore tile by tile and blend by ramps; as the whole where ``net`` sees no further.

    Args:
        net: Maps a tile to a restored tile ``net.scale`` times as large.
        degraded: The whole image.
        tile: Side in input pixels.
        overlap: Least number of input pixels that neighbours share.
    """
    height, width = degraded.shape[-2:]
    scale = net.scale
    output = degraded.new_zeros(len(degraded), net.out_channels, height * scale, width * scale)
    total = torch.zeros_like(output[:1, :1])
    for top in tile_starts(height, tile, overlap):
        for left in tile_starts(width, tile, overlap):
            part = degraded[..., top : top + tile, left : left + tile]
            restored = net(part)
            weight = _ramp(part, overlap, scale, (top, left), (height, width)).to(restored)
            rows = slice(top * scale, top * scale + restored.shape[-2])
            columns = slice(left * scale, left * scale + restored.shape[-1])
            output[..., rows, columns] += restored * weight
            total[..., rows, columns] += weight
    return output / total


def _ramp(
    part: Tensor, overlap: int, scale: int, start: tuple[int, int], size: tuple[int, int]
) -> Tensor:
    """Return weights that fall linearly to a tile's inner edges and stay 1 at image borders."""
    axes = []
    edge = max(1, overlap * scale)
    rise = torch.arange(1, edge + 1, device=part.device) / (edge + 1)
    for length, begin, whole in zip(part.shape[-2:], start, size, strict=True):
        weight = torch.ones(length * scale, device=part.device)
        if begin > 0:
            weight[:edge] = rise
        if begin + length < whole:
            weight[-edge:] = torch.minimum(weight[-edge:], rise.flip(0))
        axes.append(weight)
    return axes[0][:, None] * axes[1][None, :]


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
    for rows, down, inner_rows in _halves(height, tall, scale):
        for columns, across, inner_columns in _halves(width, wide, scale):
            tile = degraded[..., rows, columns]
            if tall * wide < pixels:
                restored = net(tile).to(output.dtype)
            else:
                restored = restore_quartered(net, tile, pixels=pixels, rule=rule)
            output[..., down, across] = restored[..., inner_rows, inner_columns]
    return output


def quarters(height: int, width: int, scale: int, *, pixels: int, rule: PaperRule) -> int:
    """Return into how many pieces ``restore_quartered`` cuts an image of height x width."""
    tall, wide = (tile_side(size, scale, rule) for size in (height, width))
    below = 1 if tall * wide < pixels else quarters(tall, wide, scale, pixels=pixels, rule=rule)
    return 4 * below


def tile_side(size: int, scale: int, rule: PaperRule) -> int:
    """Return the side of the two tiles along an axis of ``size`` input pixels.

    Half the axis and the margin; where the scale is not 1, PA-EDSR adds the rest of a division by
    the scale, CSNLN what is missing to the next multiple, a whole scale if nothing is.
    """
    side = size // 2 + SHAVE
    if scale > 1:
        side += side % scale if rule == "panet" else scale - side % scale
    return min(side, size)


def _halves(size: int, side: int, scale: int) -> list[tuple[slice, slice, slice]]:
    """Return of both halves what is cut of the input, what it fills of the output, and with what.

    The last is the part of the restored tile that is kept.
    """
    half, start = size // 2, size - side
    return [
        (slice(0, side), slice(0, half * scale), slice(0, half * scale)),
        (
            slice(start, size),
            slice(half * scale, size * scale),
            slice((half - start) * scale, side * scale),
        ),
    ]


def dihedral(image: Tensor, index: int) -> Tensor:
    """Return the ``index``-th (0 to 7) of the flips and transposes of (…, H, W)."""
    if index & 4:
        image = image.transpose(-2, -1)
    if index & 2:
        image = image.flip(-2)
    return image.flip(-1) if index & 1 else image


def undo_dihedral(image: Tensor, index: int) -> Tensor:
    """Return the image that ``dihedral(…, index)`` maps to ``image``."""
    if index & 1:
        image = image.flip(-1)
    if index & 2:
        image = image.flip(-2)
    return image.transpose(-2, -1) if index & 4 else image


def self_ensemble(restore: Callable[[Tensor], Tensor], degraded: Tensor) -> Tensor:
    """Return the mean of the restorations of all eight variants, each turned back.

    The geometric self-ensemble ×8 of Lim et al., 2017, arXiv:1707.02921, Sec. 3.4.
    """
    total = restore(degraded)
    for index in range(1, 8):
        total = total + undo_dihedral(restore(dihedral(degraded, index)), index)
    return total / 8
