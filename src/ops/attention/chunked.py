"""Patch attention within a memory budget, in PyTorch alone: for any device, forward and backward.

Blocks of query rows meet blocks of key rows under a running softmax, so neither the scores nor the
unfolded patches of the whole image ever exist; backward makes the scores again (Dao et al., 2022,
arXiv:2205.14135, Sec. 3.1 and App. B.2, on patches). It is a PyTorch operator of its own, so that
tracing sees one call, and its memory is known beforehand.
"""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from src.core.memory import MemoryBudget, budget_bytes
from src.ops.attention.out_of_memory import halve_when_full
from src.ops.attention.patch_attention import OVERLAP, accumulator
from src.ops.attention.rows import Problem, attend_by_rows, gradients_by_rows

AUTO = 0
"""Stands for ``auto`` among the operator's whole numbers."""


def chunked_patch_attention(
    query: Float[Tensor, "b k h w"],
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    *,
    softmax_scale: float = 10.0,
    min_norm: float | Tensor = 1e-4,
    scale: int = 1,
    overlap: float = OVERLAP,
    memory_budget: MemoryBudget = "auto",
) -> Float[Tensor, "b c h2 w2"]:
    """Do as ``dense_patch_attention``, holding ``memory_budget`` bytes beside in- and output.

    That is so in backward too, where gradients are outputs. One row against one row is the least
    that it works with, whatever the budget. Where a device runs out of memory nevertheless, the
    blocks are halved.

    Args:
        query: (B, K, H, W).
        keys: One (B, K, H_s, W_s) a level.
        values: One (B, C, s·H_s, s·W_s) a level.
        softmax_scale: Factor on the scores.
        min_norm: Lower bound of a key patch's norm.
        scale: s, the size of values and output over that of keys and query.
        overlap: What the sum of overlapping patches is divided by.
        memory_budget: Bytes, or ``auto``: a share of what is free on the device.

    Returns:
        (B, C, s·H, s·W).
    """
    budget = AUTO if memory_budget == "auto" else memory_budget
    lowest = torch.as_tensor(min_norm, dtype=accumulator(query), device=query.device)
    pasted: Tensor = chunked(query, keys, values, softmax_scale, lowest, scale, budget)[0]
    return pasted / overlap if pasted.requires_grad else pasted.div_(overlap)


@torch.library.custom_op("exemplar::chunked_patch_attention", mutates_args=())
def chunked(
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    softmax_scale: float,
    min_norm: Tensor,
    scale: int,
    budget: int,
) -> tuple[Tensor, Tensor]:
    """Attend and paste; overlaps are summed, not divided.

    Returns:
        (B, C, s·H, s·W), and of each query (B, H·W, 1) the logarithm of its softmax's denominator.
    """
    problem = Problem(query, keys, values, softmax_scale, min_norm, scale)
    with torch.autocast(query.device.type, enabled=False):
        return halve_when_full(partial(attend_by_rows, problem), _in_bytes(budget, query))


@chunked.register_fake
def _(
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    softmax_scale: float,
    min_norm: Tensor,
    scale: int,
    budget: int,
) -> tuple[Tensor, Tensor]:
    batch, _, height, width = query.shape
    output = values[0].new_empty(batch, values[0].shape[1], height * scale, width * scale)
    return output, query.new_empty(batch, height * width, 1, dtype=accumulator(query))


@torch.library.custom_op("exemplar::chunked_patch_attention_backward", mutates_args=())
def chunked_backward(
    grad_output: Tensor,
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    normaliser: Tensor,
    softmax_scale: float,
    min_norm: Tensor,
    scale: int,
    budget: int,
) -> list[Tensor]:
    """Return the gradients of query, all keys and all values, in this order."""
    problem = Problem(query, keys, values, softmax_scale, min_norm, scale)
    work = partial(gradients_by_rows, problem, grad_output, normaliser)
    with torch.autocast(query.device.type, enabled=False):
        return halve_when_full(work, _in_bytes(budget, query))


@chunked_backward.register_fake
def _(
    grad_output: Tensor,
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    normaliser: Tensor,
    softmax_scale: float,
    min_norm: Tensor,
    scale: int,
    budget: int,
) -> list[Tensor]:
    return [torch.empty_like(tensor.contiguous()) for tensor in (query, *keys, *values)]


def _setup_context(
    ctx: torch.autograd.function.FunctionCtx,
    inputs: tuple[Tensor, list[Tensor], list[Tensor], float, Tensor, int, int],
    output: tuple[Tensor, Tensor],
) -> None:
    query, keys, values, softmax_scale, min_norm, scale, budget = inputs
    ctx.save_for_backward(query, min_norm, output[1], *keys, *values)
    ctx.levels = len(keys)  # type: ignore[attr-defined]
    ctx.numbers = softmax_scale, scale, budget  # type: ignore[attr-defined]


def _differentiate(
    ctx: torch.autograd.function.FunctionCtx, grad_output: Tensor, _: Tensor | None
) -> tuple[Tensor | list[Tensor] | None, ...]:
    levels: int = ctx.levels  # type: ignore[attr-defined]
    softmax_scale, scale, budget = ctx.numbers  # type: ignore[attr-defined]
    query, min_norm, normaliser, *rest = ctx.saved_tensors  # type: ignore[attr-defined]
    keys, values = rest[:levels], rest[levels:]
    gradients = chunked_backward(
        grad_output, query, keys, values, normaliser, softmax_scale, min_norm, scale, budget
    )
    grad_levels = gradients[1 : 1 + levels], gradients[1 + levels :]
    return gradients[0], *grad_levels, None, None, None, None


chunked.register_autograd(_differentiate, setup_context=_setup_context)


def _in_bytes(budget: int, query: Tensor) -> int:
    return budget_bytes("auto" if budget == AUTO else budget, query.device)
