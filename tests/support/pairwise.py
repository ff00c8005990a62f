"""A small set of combinations in which every pair of choices occurs."""

import itertools
from collections.abc import Sequence

import pytest
from _pytest.mark.structures import ParameterSet

Row = tuple[str, ...]


def every_pair(pairs: Sequence[tuple[str, str]]) -> list[ParameterSet]:
    """Return pairs as a test's parameters: the quick ones show each choice, `long` ones all."""
    if not pairs:  # networks of one's own that take no attention
        return []
    first, second = (list(dict.fromkeys(choices)) for choices in zip(*pairs, strict=True))

    def is_quick(left: str, right: str) -> bool:
        i, j = first.index(left), second.index(right)
        return i % len(second) == j or j % len(first) == i

    return [
        pytest.param(*pair, marks=() if is_quick(*pair) else pytest.mark.long) for pair in pairs
    ]


def pairs_of(row: Row) -> set[tuple[int, str, int, str]]:
    """Return the pairs of choices in a row, each with its two columns."""
    places = itertools.combinations(enumerate(row), 2)
    return {(i, left, j, right) for (i, left), (j, right) in places}


def pairwise(rows: Sequence[Row]) -> list[Row]:
    """Return rows that between them hold every pair that occurs in ``rows``.

    Greedy: the next row of the first uncovered pair that brings most pairs. Not the fewest rows,
    but near: there cannot be fewer than the product of the two longest columns.

    Args:
        rows: The combinations that are possible; they need not be a full product.
    """
    left = set().union(*(pairs_of(row) for row in rows))
    found: list[Row] = []
    by_ends: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        by_ends.setdefault(row[1:], []).append(row)
    for candidates in by_ends.values():  # each pair of the last two columns at least once
        best = max(candidates, key=lambda row: len(pairs_of(row) & left))
        found.append(best)
        left -= pairs_of(best)
    while left:
        best = max(rows, key=lambda row: len(pairs_of(row) & left))
        found.append(best)
        left -= pairs_of(best)
    return [row for row in found if row]
