"""What the attention blocks of a network look at when they restore one pixel."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.inference.restorer import Restorer, fitted
from src.inference.tiling import tile_starts
from src.models.attention.cross_scale import CrossScaleAttention
from src.models.attention.in_scale_non_local import InScaleNonLocalAttention
from src.models.attention.non_local import NonLocalAttention
from src.models.attention.pyramid import PyramidAttention
from src.models.attention.pyramid_local import LocalPyramidAttention
from src.ops.attention.contract import KERNEL, window_side
from src.ops.attention.one_query import Spread, patch_attention_map, pixel_attention_map, spread


@dataclass(frozen=True)
class AttentionMap:
    """Softmax weights of one query pixel in one block."""

    block: str  # dotted name of the block in its network
    row: int  # of the query pixel in the block's features
    column: int
    size: tuple[int, int]  # (H, W) of the block's features
    # One (H_s, W_s) of weights for each scale that is searched; together they sum to 1.
    levels: tuple[Tensor, ...]
    # Pixels of the network's input that one of the features stands for, along an axis.
    pixels: float = 1.0
    # Side of what is compared, in pixels of its own level: 3 for patches, 1 for pixels.
    patch: int = KERNEL
    window: int | None = None  # side of the search window in pixels of the features; None sees all

    def spread(self, radius: float) -> Spread:
        """Return how the weights are spread; ``radius`` is in pixels of the network's input."""
        return spread(self.levels, self.row, self.column, self.size, radius=radius / self.pixels)

    def in_words(self, near: float) -> tuple[str, str]:
        """Return how the weights are spread, and the share of each scale; ``near`` is a radius."""
        numbers = self.spread(near)
        shares = (f"×{self.scale(n)} {mass:.1%}" for n, mass in enumerate(numbers.levels))
        spread_out = (
            f"{numbers.effective_keys:.1f} effective keys of {self.seen}, {numbers.near:.1%} of "
            f"the weight within {near:g} pixels"
        )
        return spread_out, ", ".join(shares)

    def strongest(self, count: int) -> list["Key"]:
        """Return the keys of the largest weights, the largest first.

        Neighbouring patches share most of their pixels and are one finding: of those of a level
        that overlap only the strongest is returned.
        """
        weights = torch.cat([level.flatten() for level in self.levels])
        near = (2 * self.patch - 1) ** 2  # that a patch overlaps, itself included
        largest = weights.topk(min(count * near, len(weights)))
        ends = torch.tensor([level.numel() for level in self.levels]).cumsum(0).tolist()
        chosen: list[tuple[int, int, int]] = []
        keys: list[Key] = []
        for weight, index in zip(largest.values.tolist(), largest.indices.tolist(), strict=True):
            number = next(number for number, end in enumerate(ends) if index < end)
            level = self.levels[number]
            row, column = divmod(index - ends[number] + level.numel(), level.shape[1])
            if len(keys) < count and not any(
                other == number and max(abs(row - y), abs(column - x)) < self.patch
                for other, y, x in chosen
            ):
                chosen.append((number, row, column))
                keys.append(Key(number, weight, self._box((row, column), level.shape)))
        return keys

    def scale(self, level: int) -> str:
        """Return in words how large a level is: its longer side over that of the features."""
        return f"{max(self.levels[level].shape) / max(self.size):.2g}"

    @property
    def seen(self) -> int:
        """How many keys the query can see."""
        window = max(self.size) if self.window is None else self.window
        return sum(
            window_side(self.size[0], level.shape[0], window)
            * window_side(self.size[1], level.shape[1], window)
            for level in self.levels
        )

    @property
    def query(self) -> "Box":
        """What is compared with the keys, in pixels of the network's input."""
        return self._box((self.row, self.column), self.size)

    def _box(self, at: tuple[int, int], level: Sequence[int]) -> "Box":
        """Return what a patch or pixel of a level covers of the network's input."""
        steps = [self.pixels * whole / size for whole, size in zip(self.size, level, strict=True)]
        centres = [(place + 0.5) * step for place, step in zip(at, steps, strict=True)]
        return Box(*centres, *(self.patch * step for step in steps))


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the network's input, whose first pixel reaches from 0 to 1.

    Attributes:
        row, column: Of the centre.
        height, width: Of the sides.
    """

    row: float
    column: float
    height: float
    width: float


@dataclass(frozen=True)
class Key:
    """A patch or pixel that is looked at."""

    level: int  # index of its scale
    weight: float  # its share of the softmax
    box: Box  # what it covers of the network's input


_SHOWN = (
    PyramidAttention,
    LocalPyramidAttention,
    CrossScaleAttention,
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
