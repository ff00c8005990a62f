"""Patch attention by the fastest way there is: the C++ kernel on the CPU, else PyTorch."""

import functools
import logging
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.core.memory import MemoryBudget
from src.ops.attention.chunked import chunked_patch_attention
from src.ops.attention.native import DTYPES, available, native_patch_attention
from src.ops.attention.operator_workspace import native_bytes
from src.ops.attention.patch_attention import OVERLAP, dense_patch_attention
from src.ops.attention.triton_form import refusal, triton_patch_attention

logger = logging.getLogger(__name__)

Implementation = Literal["auto", "native", "plain", "dense", "triton"]


def patch_attention(
    query: Float[Tensor, "b k h w"],
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    *,
    softmax_scale: float = 10.0,
    min_norm: Tensor,
    scale: int = 1,
    overlap: float = OVERLAP,
    memory_budget: MemoryBudget = "auto",
    implementation: Implementation = "auto",
) -> Float[Tensor, "b c h2 w2"]:
    """Attend as ``dense_patch_attention`` does; the result agrees to float32's rounding.

    Args:
        query: (B, K, H, W).
        keys: One (B, K, H_s, W_s) a level.
        values: One (B, C, s·H_s, s·W_s) a level.
        softmax_scale: Factor on the scores.
        min_norm: One number, the lower bound of a key patch's norm.
        scale: s, the size of values and output over that of keys and query.
        overlap: What the sum of overlapping patches is divided by.
        memory_budget: Bytes that may be held beside in- and outputs, gradients included, or
            ``auto``: PyTorch's way takes a share of what is free, and the kernel what it needs,
            which are copies of one sample for each thread and no scores.
        implementation: ``native`` is the kernel, ``plain`` is PyTorch; ``auto`` takes the kernel
            where it can be compiled and keeps within ``memory_budget``. ``dense`` holds a score for
            each pair of pixels, whatever the budget: it is for export, because other programs know
            each of its operators. ``triton`` is a kernel for GPUs, which ``auto`` never takes:
            nobody has timed it yet.

    Returns:
        (B, C, s·H, s·W), of the values' type.

    Raises:
        RuntimeError: If ``native`` or ``triton`` is asked for and there is no such kernel here, or
            ``native`` needs more than ``memory_budget``.
    """
    if implementation == "triton":
        if reason := refusal(query):
            raise RuntimeError(f"implementation=triton: {reason}")
        cells = [_cells(value, scale) for value in values]
        pasted = triton_patch_attention(query, keys, cells, softmax_scale, min_norm)[0]
        return _pixels(pasted, scale) / overlap
    if implementation == "native" and not available(query):
        raise RuntimeError(
            "implementation=native: there is no kernel for this device, or no C++ compiler; "
            "use implementation=auto."
        )
    if implementation == "dense":
        return dense_patch_attention(
            query,
            keys,
            values,
            softmax_scale=softmax_scale,
            min_norm=min_norm,
            scale=scale,
            overlap=overlap,
        )
    if implementation != "plain" and available(query):
        budget = None if memory_budget == "auto" else memory_budget
        needed = 0 if budget is None else _kernel_bytes(query, keys, values, scale)
        if budget is None or needed <= budget:
            pasted = _native(query, keys, values, softmax_scale, min_norm, scale)
            return pasted / overlap if pasted.requires_grad else pasted.div_(overlap)
        _over_budget(implementation, needed, budget)
    return chunked_patch_attention(
        query,
        keys,
        values,
        softmax_scale=softmax_scale,
        min_norm=min_norm,
        scale=scale,
        overlap=overlap,
        memory_budget=memory_budget,
    )


def _native(
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    softmax_scale: float,
    min_norm: Tensor,
    scale: int,
) -> Tensor:
    """Call the kernel in float32 or float64; s×s cells of values become channels of one pixel.

    A 3s×3s patch at stride s is a 3×3 patch of cells, so cross-scale attention is the same kernel.
    """
    dtype = query.dtype if query.dtype in DTYPES else torch.float32
    output, _, _ = native_patch_attention(
        query.to(dtype),
        [key.to(dtype) for key in keys],
        [_cells(value, scale).to(dtype) for value in values],
        softmax_scale,
        min_norm,
    )
    return _pixels(output, scale).to(values[0].dtype)


def _cells(value: Tensor, scale: int) -> Tensor:
    """Return s×s cells as channels; nothing is asked of sizes where s is 1, for export's sake."""
    return value if scale == 1 else F.pixel_unshuffle(value, scale)


def _pixels(cells: Tensor, scale: int) -> Tensor:
    return cells if scale == 1 else F.pixel_shuffle(cells, scale)


def _kernel_bytes(
    query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], scale: int
) -> int:
    """Return what the kernel holds beside in- and outputs, with copies that it has to be given.

    Those are of what is not 32 bits wide or is shuffled, and of a result before its division.
    """
    leaves = (query, *keys, *values)
    backward = torch.is_grad_enabled() and any(leaf.requires_grad for leaf in leaves)
    held = native_bytes(query, keys, values[0].shape[1] * scale**2, backward=backward)
    copied = leaves if query.dtype not in DTYPES else values if scale > 1 else ()
    outputs = (int(query.dtype not in DTYPES or scale > 1) + backward) * values[0].shape[1]
    numbers = outputs * len(query) * query.shape[2] * query.shape[3] * scale**2
    numbers += sum(leaf.numel() for leaf in copied) * (1 + backward)
    return held + numbers * max(4, query.element_size())


def _over_budget(implementation: Implementation, needed: int, budget: int) -> None:
    """Say that the kernel does not fit into the budget: there is no form of it that needs less.

    Raises:
        RuntimeError: If it was asked for by name.
    """
    if implementation == "native":
        raise RuntimeError(
            f"implementation=native: the kernel holds {needed / 2**20:.1f} MiB here, more than "
            f"memory_budget={budget}; raise it to {needed}, or use implementation=plain, which "
            "works in blocks that fit."
        )
    if not torch.compiler.is_compiling():  # a traced program cannot write to a log
        _say(budget)


@functools.cache  # one line, not one in each step of training
def _say(budget: int) -> None:
    logger.warning(
        "The C++ kernel does not fit into memory_budget=%d: attention is PyTorch's, in blocks, "
        "which is slower. A larger budget, or memory_budget=auto, brings the kernel back.",
        budget,
    )
