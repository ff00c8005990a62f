"""What one attention block looks at from one pixel: weights, and the places of the largest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from src.ops.attention.contract import KERNEL, window_side
from src.ops.attention.one_query import Spread, spread


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
        """Return how the weights are spread; ``radius`` is in pixels of the network's input.

        Of the keys those count that the query can see.
        """
        near = radius / self.pixels
        every = spread(self.levels, self.row, self.column, self.size, radius=near)
        return replace(every, keys=self.seen)

    def in_words(self, near: float) -> tuple[str, str]:
        """Return how the weights are spread, and the share of each scale; ``near`` is a radius."""
        numbers = self.spread(near)
        shares = (f"×{self.scale(n)} {mass:.1%}" for n, mass in enumerate(numbers.levels))
        spread_out = (
            f"{numbers.effective_keys:.1f} effective keys of {numbers.keys}, {numbers.near:.1%} of "
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
    """A rectangle in pixels of the network's input, whose first pixel reaches from 0 to 1."""

    row: float  # of the centre
    column: float
    height: float  # of the sides
    width: float


@dataclass(frozen=True)
class Key:
    """A patch or pixel that is looked at."""

    level: int  # index of its scale
    weight: float  # its share of the softmax
    box: Box  # what it covers of the network's input
