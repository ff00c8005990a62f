"""Patches of a few rows at a time: cutting, pasting, and how many rows a memory budget allows."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.ops.attention.patch_attention import KERNEL


class Plan(NamedTuple):
    """How many rows are worked on at a time.

    Attributes:
        query_rows: Rows of queries.
        key_rows: Rows of keys in each level.
        scores: Numbers in the largest block of scores.
        bytes_held: What these blocks take at most, beside in- and outputs.
    """

    query_rows: int
    key_rows: tuple[int, ...]
    scores: int
    bytes_held: int


class _Numbers(NamedTuple):
    """How many numbers are held at once for one query, for one key and for one score.

    ``match`` and ``value`` count patches of keys' and values' channels.
    """

    match: int
    value: int
    key_match: int
    key_value: int
    scores: int


# As row_attention.py holds them at the worst moment, one result of an expression included.
_FORWARD = _Numbers(match=1, value=2, key_match=1, key_value=1, scores=1)
_BACKWARD = _Numbers(match=3, value=1, key_match=4, key_value=2, scores=2)


def plan_rows(
    query: Tensor, keys: Sequence[Tensor], channels: int, budget: int, *, backward: bool = False
) -> Plan:
    """Share ``budget`` bytes: a quarter for the query block, the rest for keys and scores.

    Args:
        query: (B, K, H, W).
        keys: One (B, K, H_s, W_s) a level.
        channels: Numbers of a value patch over nine.
        budget: In bytes. One row against one row is the least, whatever it is.
        backward: Whether gradients are computed too.
    """
    batch, match, height, width = query.shape
    held = _BACKWARD if backward else _FORWARD
    size = batch * max(4, query.element_size())  # sums are in 32 bits at least
    numbers = budget * 3 // 4 // size  # the rest is for what allocators lose between blocks
    a_query = 9 * (held.match * match + held.value * channels)
    rows = min(height, max(1, numbers // 4 // (a_query * width)))
    scores = held.scores + int(query.element_size() < size // batch)  # a narrow copy of the scores
    a_key = 9 * (held.key_match * match + held.key_value * channels) + scores * rows * width
    key_rows = tuple(
        min(key.shape[2], max(1, numbers * 3 // 4 // (a_key * key.shape[3]))) for key in keys
    )
    most = max(count * key.shape[3] for count, key in zip(key_rows, keys, strict=True))
    held_bytes = size * (a_query * rows * width + a_key * most)
    return Plan(rows, key_rows, batch * rows * width * most, held_bytes)


def cut_rows(
    features: Float[Tensor, "b c h w"], top: int, rows: int, scale: int = 1
) -> Float[Tensor, "b d n"]:
    """Return the zero-padded patches around ``rows`` rows of cells from ``top``.

    Returns:
        (B, 9·s²·C, rows·W/s): as ``unfold_patches`` gives for the whole.
    """
    height = features.shape[2] // scale
    above, below = scale * int(top == 0), scale * int(top + rows == height)
    halo = features[:, :, max(0, top - 1) * scale : (top + rows + 1) * scale]
    halo = F.pad(halo, (0, 0, above, below))
    return F.unfold(halo, KERNEL * scale, padding=(0, scale), stride=scale)


def paste_rows(
    total: Float[Tensor, "b c h w"],
    patches: Float[Tensor, "b d n"],
    top: int,
    rows: int,
    scale: int = 1,
) -> None:
    """Add patches to ``total`` in place, where ``cut_rows`` would cut them: its transpose."""
    height, width = total.shape[-2:]
    size = ((rows + 2) * scale, width)
    folded = F.fold(patches, size, KERNEL * scale, padding=(0, scale), stride=scale)
    first = (top - 1) * scale
    begin, end = max(0, first), min(height, first + size[0])
    total[:, :, begin:end] += folded[:, :, begin - first : end - first]
