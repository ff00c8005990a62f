"""Search windows along one axis: which keys of each level a query may see."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 8
"""Queries along each axis that share a region: few, or the region holds much beyond a window."""


class Span(NamedTuple):
    """Some rows (or columns) of queries, and at each level where their windows are.

    Attributes:
        start: First query.
        stop: One past the last.
        regions: At each level the first key and one past the last.
        hidden: At each level (queries, keys), true where a key is outside a query's window.
    """

    start: int
    stop: int
    regions: tuple[slice, ...]
    hidden: tuple[Tensor, ...]


def spans(size: int, levels: Sequence[int], window: int, device: torch.device) -> list[Span]:
    """Cut one axis into spans of queries, and find their windows in each level.

    Args:
        size: Queries along the axis.
        levels: Keys along the axis, one number a level.
        window: Side of the search window in queries.
        device: Where the masks are made.
    """
    found = []
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        regions, hidden = [], []
        for level in levels:
            side = min(level, -(-window * level // size))
            # The pixel of the level that holds the query's centre, in whole numbers.
            firsts = [
                min(max((2 * at + 1) * level // (2 * size) - side // 2, 0), level - side)
                for at in range(start, stop)
            ]
            first = torch.tensor(firsts, device=device)[:, None]
            key = torch.arange(firsts[0], firsts[-1] + side, device=device)
            regions.append(slice(firsts[0], firsts[-1] + side))
            hidden.append((key < first) | (key >= first + side))
        found.append(Span(start, stop, tuple(regions), tuple(hidden)))
    return found
