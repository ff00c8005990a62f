"""Patch attention by the fastest way there is: the C++ kernel on the CPU, else PyTorch."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.core.memory import MemoryBudget
from src.ops.chunked_patch_attention import chunked_patch_attention
from src.ops.native_patch_attention import DTYPES, available, native_patch_attention
from src.ops.patch_attention import OVERLAP, dense_patch_attention

Implementation = Literal["auto", "native", "plain", "dense"]


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
        memory_budget: Bytes that PyTorch's way may hold beside in- and outputs, gradients included,
            or ``auto``; the kernel holds copies of its inputs and no scores.
        implementation: ``native`` is the kernel, ``plain`` is PyTorch; ``auto`` takes the kernel
            where it can be compiled. ``dense`` holds a score for each pair of pixels, whatever the
            budget: it is for export, because other programs know each of its operators.

    Returns:
        (B, C, s·H, s·W), of the values' type.

    Raises:
        RuntimeError: If ``native`` is asked for and there is no kernel.
    """
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
        return _native(query, keys, values, softmax_scale, min_norm, scale) / overlap
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
        [F.pixel_unshuffle(value, scale).to(dtype) for value in values],
        softmax_scale,
        min_norm,
    )
    return F.pixel_shuffle(output, scale).to(values[0].dtype)
