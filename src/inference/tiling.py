"""Overlapping tiles blended by linear ramps, so that no seam shows."""

import torch
from jaxtyping import Float
from torch import Tensor

from src.core.types import RestorationNet


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
    """Restore tile by tile and blend; equal to the whole where ``net`` sees no further.

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
    for axis, (begin, whole) in enumerate(zip(start, size, strict=True)):
        length = part.shape[axis - 2]
        weight = torch.ones(length * scale, device=part.device)
        edge = max(1, overlap * scale)
        rise = torch.arange(1, edge + 1, device=part.device) / (edge + 1)
        if begin > 0:
            weight[:edge] = rise
        if begin + length < whole:
            weight[-edge:] = torch.minimum(weight[-edge:], rise.flip(0))
        axes.append(weight)
    return axes[0][:, None] * axes[1][None, :]
