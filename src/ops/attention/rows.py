"""The arithmetic of the chunked form: patch attention by blocks of rows, forward and backward.

A running softmax (Milakov and Gimelshein, 2018, arXiv:1805.02867) joins blocks of keys; backward
makes the scores again from the saved denominators (Dao et al., 2022, arXiv:2205.14135, App. B.2).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.ops.attention.contract import KERNEL, accumulator, at_least_float32


class Problem(NamedTuple):
    """What is attended to, and how; see ``dense_patch_attention``."""

    query: Tensor
    keys: Sequence[Tensor]
    values: Sequence[Tensor]
    softmax_scale: float
    min_norm: Tensor
    scale: int

    @property
    def value_numbers(self) -> int:
        """Return the numbers of a value patch over nine."""
        return self.values[0].shape[1] * self.scale**2


class _KeyBlock(NamedTuple):
    """Some rows of keys: where they are, and their patches as (B, numbers, keys).

    ``key`` is normalised; ``norm`` is (B, 1, keys).
    """

    level: int
    top: int
    rows: int
    key: Tensor
    norm: Tensor
    value: Tensor


def attend_by_rows(problem: Problem, budget: int) -> tuple[Tensor, Tensor]:
    """Return the sum of pasted patches, and the logarithm of each query's softmax denominator.

    They are (B, C, s·H, s·W) and (B, H·W, 1); blocks take ``budget`` bytes.
    """
    query, values, scale = problem.query, problem.values, problem.scale
    batch, _, height, width = query.shape
    plan = plan_rows(query, problem.keys, problem.value_numbers, budget)
    size = (batch, values[0].shape[1], height * scale, width * scale)
    output = values[0].new_zeros(size)
    normaliser = query.new_empty(batch, height * width, 1, dtype=accumulator(query))
    room = query.new_empty(plan.scores)
    for top in range(0, height, plan.query_rows):
        rows = min(plan.query_rows, height - top)
        block = cut_rows(query, top, rows).mul_(problem.softmax_scale)
        blocks = _key_blocks(problem, plan.key_rows)
        mixed, normaliser[:, top * width : (top + rows) * width] = _attend(block, blocks, room)
        paste_rows(output, mixed.to(output.dtype), top, rows, scale)
    return output, normaliser


def gradients_by_rows(
    problem: Problem, grad_output: Tensor, normaliser: Tensor, budget: int
) -> list[Tensor]:
    """Return the gradients of query, keys and values, in this order.

    ``grad_output`` is that of the pasted sum, ``normaliser`` what ``attend_by_rows`` returned.
    """
    query, scale, levels = problem.query, problem.scale, len(problem.keys)
    height, width = query.shape[-2:]
    plan = plan_rows(query, problem.keys, problem.value_numbers, budget, backward=True)
    leaves = (query, *problem.keys, *problem.values)
    rooms = query.new_empty(2, plan.scores)
    gradients = [torch.zeros_like(leaf.contiguous(), dtype=accumulator(leaf)) for leaf in leaves]
    for top in range(0, height, plan.query_rows):
        rows = min(plan.query_rows, height - top)
        block = cut_rows(query, top, rows).mul_(problem.softmax_scale)
        grad = cut_rows(grad_output.to(block.dtype), top, rows, scale)
        logs = normaliser[:, top * width : (top + rows) * width]
        mean = torch.zeros_like(logs)  # of the weights' gradients, under the weights themselves
        for keys in _key_blocks(problem, plan.key_rows):
            weights = _weights(block, keys, logs, rooms[0])
            mean += _change(grad, keys, rooms[1]).mul_(weights).sum(dim=-1, keepdim=True)
            del keys
        grad_block = torch.zeros_like(block, dtype=logs.dtype)
        for keys in _key_blocks(problem, plan.key_rows):
            weights = _weights(block, keys, logs, rooms[0])
            grad_value = grad @ weights.to(grad.dtype)
            change = _change(grad, keys, rooms[1]).sub_(mean).mul_(weights).to(block.dtype)
            grad_block += keys.key @ change.transpose(1, 2)
            grad_key = _through_norm(keys, block @ change, problem.min_norm)
            paste_rows(gradients[1 + keys.level], grad_key, keys.top, keys.rows)
            paste_rows(gradients[1 + levels + keys.level], grad_value, keys.top, keys.rows, scale)
            del keys, weights, change, grad_key, grad_value
        paste_rows(gradients[0], grad_block.mul_(problem.softmax_scale), top, rows)
    return [gradient.to(leaf.dtype) for gradient, leaf in zip(gradients, leaves, strict=True)]


def _key_blocks(problem: Problem, key_rows: Sequence[int]) -> Iterator[_KeyBlock]:
    """Yield the keys block by block; whoever takes one drops it before asking for the next."""
    for level, key in enumerate(problem.keys):
        for top in range(0, key.shape[2], key_rows[level]):
            rows = min(key_rows[level], key.shape[2] - top)
            yield _key_block(problem, level, top, rows)


def _key_block(problem: Problem, level: int, top: int, rows: int) -> _KeyBlock:
    key = cut_rows(problem.keys[level], top, rows)
    norm = at_least_float32(key).norm(dim=1, keepdim=True)
    key /= norm.clamp(min=problem.min_norm).to(key.dtype)
    value = cut_rows(problem.values[level], top, rows, problem.scale)
    return _KeyBlock(level, top, rows, key, norm, value)


def _attend(
    block: Float[Tensor, "b k n"], key_blocks: Iterator[_KeyBlock], room: Tensor
) -> tuple[Float[Tensor, "b c n"], Float[Tensor, "b n 1"]]:
    """Return the mean of value patches, and the logarithm of the softmax's denominator."""
    peak = block.new_full((len(block), block.shape[2], 1), -torch.inf, dtype=accumulator(block))
    total = torch.zeros_like(peak)
    result: Tensor | None = None
    for keys in key_blocks:
        scores = _products(block, keys.key, room).to(peak.dtype)
        new_peak = torch.maximum(peak, scores.amax(dim=-1, keepdim=True))
        weights = scores.sub_(new_peak).exp_()
        shrink = (peak - new_peak).exp_()
        total = total.mul_(shrink).add_(weights.sum(dim=-1, keepdim=True))
        update = (keys.value @ weights.to(keys.value.dtype).transpose(1, 2)).to(peak.dtype)
        result = update if result is None else result.mul_(shrink.transpose(1, 2)).add_(update)
        peak = new_peak
        del keys, scores, weights, update
    if result is None:
        raise ValueError("patch attention needs at least one level of keys.")
    return result.div_(total.transpose(1, 2)), peak + total.log_()


def _products(
    left: Float[Tensor, "b d n"], right: Float[Tensor, "b d m"], room: Float[Tensor, " r"]
) -> Float[Tensor, "b n m"]:
    """Return leftᵀ·right in ``room``: fresh memory for each block would scatter over the heap."""
    batch, queries, keys = len(left), left.shape[2], right.shape[2]
    result = room[: batch * queries * keys].view(batch, queries, keys)
    return torch.bmm(left.transpose(1, 2), right, out=result)


def _weights(block: Tensor, keys: _KeyBlock, logs: Tensor, room: Tensor) -> Float[Tensor, "b n m"]:
    """Return the softmax of queries over keys, from the logarithms of its denominators."""
    scores = _products(block, keys.key, room).to(logs.dtype)
    return scores.sub_(logs).exp_()


def _change(grad: Tensor, keys: _KeyBlock, room: Tensor) -> Float[Tensor, "b n m"]:
    """Return the gradient of the weights."""
    return at_least_float32(_products(grad, keys.value, room))


def _through_norm(keys: _KeyBlock, grad_key: Tensor, min_norm: Tensor) -> Float[Tensor, "b k m"]:
    """Return the gradient of key patches from that of the normalised ones.

    A patch below ``min_norm`` was divided by a constant; the others lose what is along them.
    """
    along = (grad_key * keys.key).sum(dim=1, keepdim=True) * (keys.norm > min_norm)
    return (grad_key - keys.key * along) / keys.norm.clamp(min=min_norm)


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
    # Numbers at the worst moment of the functions above, one result of an expression included: of
    # patches to match and of values, for each query and for each key, then for each score.
    match_q, value_q, match_k, value_k, scores = (3, 1, 4, 2, 2) if backward else (1, 2, 1, 1, 1)
    size = batch * max(4, query.element_size())  # sums are in 32 bits at least
    numbers = budget * 3 // 4 // size  # the rest is for what allocators lose between blocks
    a_query = 9 * (match_q * match + value_q * channels)
    rows = min(height, max(1, numbers // 4 // (a_query * width)))
    scores += int(query.element_size() < size // batch)  # a narrow copy of them
    a_key = 9 * (match_k * match + value_k * channels) + scores * rows * width
    key_rows = tuple(
        min(key.shape[2], max(1, numbers * 3 // 4 // (a_key * key.shape[3]))) for key in keys
    )
    most = max(rows_ * key.shape[3] for rows_, key in zip(key_rows, keys, strict=True))
    bytes_held = size * (a_query * rows * width + a_key * most)
    return Plan(rows, key_rows, batch * rows * width * most, bytes_held)


def cut_rows(
    features: Float[Tensor, "b c h w"], top: int, rows: int, scale: int = 1
) -> Float[Tensor, "b d n"]:
    """Return the zero-padded patches around ``rows`` rows of cells from ``top``.

    They are (B, 9·s²·C, rows·W/s), as ``unfold_patches`` returns them for the whole.
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
