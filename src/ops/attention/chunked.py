"""Patch attention within a memory budget, in PyTorch alone: for any device, forward and backward.

Blocks of query rows meet blocks of key rows under a running softmax, so neither the scores nor the
unfolded patches of the whole image ever exist; backward makes the scores again (Dao et al., 2022,
arXiv:2205.14135, Sec. 3.1 and App. B.2, on patches). It is a PyTorch operator of its own, so that
tracing sees one call, and its memory is known beforehand.
"""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from src.core.memory import MemoryBudget, budget_bytes
from src.ops.attention.contract import OVERLAP, accumulator, differentiate_by
from src.ops.attention.rows import Problem, attend_by_rows, gradients_by_rows

logger = logging.getLogger(__name__)

T = TypeVar("T")

AUTO = 0
"""Stands for ``auto`` among the operator's whole numbers."""

GIVE_UP = 2**20
"""Budgets below this many bytes are not halved again."""


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
    """Do as ``dense_patch_attention``, in ``memory_budget`` bytes beside in- and output.

    That is so in backward too, where gradients are outputs. One row against one row is the least
    that it works with, whatever the budget. Where a device runs out of memory nevertheless, the
    blocks are halved. The budget ``auto`` is a share of what is free on the device; the other
    arguments are those of ``dense_patch_attention``.
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
        return halve_when_full(
            functools.partial(attend_by_rows, problem), given_bytes(budget, query)
        )


@chunked.register_fake
def _(
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    *numbers: Any,  # noqa: ANN401
) -> tuple[Tensor, Tensor]:
    batch, _, height, width = query.shape
    scale: int = numbers[2]
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
    work = functools.partial(gradients_by_rows, problem, grad_output, normaliser)
    with torch.autocast(query.device.type, enabled=False):
        return halve_when_full(work, given_bytes(budget, query))


differentiate_by(chunked, chunked_backward)


def given_bytes(budget: int, query: Tensor) -> int:
    """Return the operator's whole number ``budget`` in bytes."""
    return budget_bytes("auto" if budget == AUTO else budget, query.device)


def halve_when_full(work: Callable[[int], T], budget: int) -> T:
    """Return ``work(budget)``, with half the budget again and again while the device is full.

    Raises:
        RuntimeError: If it is full even with the smallest budget; on a GPU torch.OutOfMemoryError.
    """
    while True:
        try:
            return work(budget)
        except RuntimeError as error:
            if budget <= GIVE_UP or not is_full(error):
                raise
        # outside the handler, where the error no longer refers to the blocks that did not fit
        budget //= 2
        _warn(budget)


def is_full(error: RuntimeError) -> bool:
    """Return whether it says that memory is used up, on a GPU or, where there is a limit, the CPU.

    Torch's allocator for the CPU has no error of its own.
    """
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@functools.cache  # one line, not one in each step of training
def _warn(budget: int) -> None:
    logger.warning(
        "The device is out of memory: attention goes on in blocks of %.1f MiB, which is slower. "
        "Set attention.memory_budget=%d to begin there, or use smaller images or batches.",
        budget / 2**20,
        budget,
    )
