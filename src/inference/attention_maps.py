"""What the attention blocks of a network look at when they restore one pixel."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.inference.attention_map import AttentionMap
from src.inference.restorer import Restorer, fitted
from src.inference.tiling import tile_starts
from src.models.attention.cross_scale import CrossScaleAttention
from src.models.attention.cross_scale_cosine import CosineCrossScaleAttention
from src.models.attention.in_scale_non_local import InScaleNonLocalAttention
from src.models.attention.non_local import NonLocalAttention
from src.models.attention.pyramid import PyramidAttention
from src.models.attention.pyramid_local import LocalPyramidAttention
from src.ops.attention.contract import KERNEL
from src.ops.attention.one_query import patch_attention_map, pixel_attention_map

_SHOWN = (
    PyramidAttention,
    LocalPyramidAttention,
    CrossScaleAttention,
    CosineCrossScaleAttention,
    InScaleNonLocalAttention,
    NonLocalAttention,
)
"""Blocks that embed features by their modules ``query`` and ``key``, the latter once a level, and
compare them by patches or by pixels. A subclass may compare otherwise, so it is not included."""


def shown_blocks(net: nn.Module) -> dict[str, nn.Module]:
    """Return the blocks of ``net`` that have a map, by name, in the order of the network."""
    return {name: block for name, block in net.named_modules() if type(block) in _SHOWN}


def which(block: str, names: Collection[str]) -> str:
    """Return in words which of the blocks that have a map one is."""
    if len(names) == 1:
        return f"{block}, the only one with attention"
    return f"{block}, one of {len(names)} with attention ({', '.join(names)})"


def attention_maps(
    net: nn.Module, degraded: Float[Tensor, "1 c h w"], row: int, column: int
) -> list[AttentionMap]:
    """Run ``net`` once and return the map of each of its blocks for one pixel of the input.

    Blocks of kinds without a map are passed over; see :func:`maps_of`.
    """
    return [maps[0] for maps in maps_of(net, degraded, [(row, column)]).values()]


@torch.no_grad()
def maps_of(
    net: nn.Module, degraded: Float[Tensor, "1 c h w"], points: Sequence[tuple[int, int]]
) -> dict[str, list[AttentionMap]]:
    """Run ``net`` once and return of each block a map for each point (row, column) of the input.

    Memory is linear in pixels, as only these queries are looked at. Of a block that is called
    several times, as in CSNLN's recurrence, it is the map of the last call.

    Raises:
        ValueError: If a point is not in the image.
    """
    height, width = degraded.shape[-2:]
    for row, column in points:
        if not (0 <= row < height and 0 <= column < width):
            raise ValueError(
                f"pixel ({row}, {column}) is not in the image: rows 0 to {height - 1}, "
                f"columns 0 to {width - 1}."
            )
    maps: dict[str, list[AttentionMap]] = {}
    handles = [
        handle
        for name, block in shown_blocks(net).items()
        for handle in _watch(name, block, points, height, maps)
    ]
    try:
        net(degraded)
    finally:
        for handle in handles:
            handle.remove()
    return maps


def _watch(
    name: str,
    block: nn.Module,
    points: Sequence[tuple[int, int]],
    height: int,
    maps: dict[str, list[AttentionMap]],
) -> list[Any]:
    """Make ``block`` put its maps into ``maps`` when it is called; return the handles to undo it.

    ``height`` is that of the network's input.
    """
    seen: dict[str, list[Tensor]] = defaultdict(list)

    def keep(kind: str, module: nn.Module, inputs: object, output: Tensor) -> None:
        seen[kind].append(output)

    def conclude(module: nn.Module, inputs: tuple[Tensor], output: object) -> None:
        pixels = _pixels(height, inputs[0].shape[2])
        (query,), keys = seen.pop("query"), seen.pop("key")
        maps[name] = [
            _map_at(name, module, query, keys, _feature(point, pixels, query), pixels)
            for point in points
        ]

    embedded = [
        block.get_submodule(kind).register_forward_hook(partial(keep, kind))
        for kind in ("query", "key")
    ]
    return [*embedded, block.register_forward_hook(conclude)]


def _pixels(height: int, features: int) -> float:
    """Return how many pixels of the input one of the features stands for, along an axis.

    Networks extend what does not fit their steps, so that the sides themselves are not exactly in
    the proportion of a whole number.
    """
    return float(round(height / features)) if height > features else 1 / round(features / height)


def _feature(point: tuple[int, int], pixels: float, query: Tensor) -> tuple[int, int]:
    """Return the row and column of the features in which a point of the input lies."""
    row, column = (
        min(int((at + 0.5) / pixels), side - 1)
        for at, side in zip(point, query.shape[-2:], strict=True)
    )
    return row, column


def _map_at(
    name: str,
    block: nn.Module,
    query: Tensor,
    keys: Sequence[Tensor],
    at: tuple[int, int],
    pixels: float,
) -> AttentionMap:
    window: int | None = getattr(block, "window", None)
    levels: Sequence[Tensor]
    if isinstance(block, PyramidAttention | CrossScaleAttention):
        patch = KERNEL
        levels = patch_attention_map(
            query,
            keys,
            *at,
            softmax_scale=block.softmax_scale,
            min_norm=block.min_norm,
            window=window,
        )
    else:
        patch, levels = 1, [pixel_attention_map(query, keys[0], *at, window=window)]
    size = (query.shape[2], query.shape[3])
    return AttentionMap(name, *at, size, tuple(levels), pixels, patch, window)


@dataclass(frozen=True)
class Look:
    """What the network sees together with one point, and what its blocks look at from there."""

    piece: Tensor  # (1, C, h, w), the network's input or the tile of it in which the point lies
    top: int  # of the tile, in pixels of the network's input
    left: int
    # name of a block → its map; rows and columns start at the tile's corner
    maps: Mapping[str, AttentionMap]

    @property
    def where(self) -> str:
        """In words, in which tile; nothing for the first, as for the whole image."""
        return f" in the tile at {self.left},{self.top}" if self.left or self.top else ""


def look(
    restorer: Restorer, degraded: Float[Tensor, "1 c h w"], points: Sequence[tuple[int, int]]
) -> list[Look]:
    """Return what is looked at from each point (row, column) when ``restorer`` restores an image.

    Attention sees the whole image, or of a large one the tile whose middle is nearest to the point.
    """
    tile, overlap = restorer.tile_of(degraded), restorer.policy.overlap
    tile = max(degraded.shape[-2:]) if tile is None else tile
    starts = [tile_starts(size, tile, min(overlap, tile - 1)) for size in degraded.shape[-2:]]
    corners = [
        tuple(
            min(begins, key=lambda start: abs(start + tile / 2 - at))
            for begins, at in zip(starts, point, strict=True)
        )
        for point in points
    ]
    looks: dict[int, Look] = {}
    for top, left in dict.fromkeys(corners):
        numbers = [number for number, corner in enumerate(corners) if corner == (top, left)]
        piece = degraded[..., top : top + tile, left : left + tile]
        inside = [(points[number][0] - top, points[number][1] - left) for number in numbers]
        with restorer.in_window():
            maps = maps_of(restorer.module, fitted(restorer.net, piece), inside)
        for place, number in enumerate(numbers):
            own = {name: several[place] for name, several in maps.items()}
            looks[number] = Look(piece, top, left, own)
    return [looks[number] for number in range(len(points))]
