"""Patch attention from launches of the Triton kernels, forward and backward, level by level.

Attention is kept nowhere: the softmax's denominators come first, then pasting makes the weights
again, and so does backward, for each gradient. Beside in- and outputs there are a few numbers a
pixel, and three partial results at a time.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.ops.attention.contract import accumulator
from src.ops.attention.triton_kernels.kernels import (
    NOWHERE,
    paste_others,
    sum_of_changes,
    sum_of_exponentials,
)
from src.ops.attention.triton_kernels.tiles import Known, Sides

BLOCK = {"ROWS": 2, "OWN": 32, "OTHER": 32, "num_warps": 8}
"""Rows and pixels of a program, and how many pixels of the other side it meets at a time."""

WIDE = 64
"""Channels that a program pastes."""

TYPES = {torch.float64: tl.float64, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}


class Pair(NamedTuple):
    """The queries and one level of keys, with what is known of each pixel.

    Attributes:
        query: (B, K, H, W).
        key: (B, K, h, w).
        gradient: (B, C, H, W), that of the pasted sum; in forward the query stands here.
        value: (B, C, h, w).
        factor: (B, 1, h, w), what makes a product of patches a score to base 2.
        normaliser: (B, 1, H, W), the logarithm to base 2 of each query's softmax denominator.
        mean: (B, 1, H, W), each query's mean gradient of the attention, under the attention.
    """

    query: Tensor
    key: Tensor
    gradient: Tensor
    value: Tensor
    factor: Tensor
    normaliser: Tensor
    mean: Tensor


def attend(
    query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], scale: float, min_norm: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the sum of pasted patches, and each query's normaliser; see ``Pair``."""
    peak = query.new_full(_numbers(query), NOWHERE.value, dtype=accumulator(query))
    total = torch.zeros_like(peak)
    pairs = [
        Pair(query, key, query, value, _factor(key, scale, min_norm), peak, peak)
        for key, value in zip(keys, values, strict=True)
    ]
    for pair in pairs:
        arguments, grid = _prepared(pair, keys_own=False)
        sum_of_exponentials[grid](*arguments, peak, total, **_options(query))
    normaliser = peak + total.log2_()
    sums = _partial_sums(query, values[0].shape[1])
    for pair in pairs:
        _paste(pair._replace(normaliser=normaliser), pair.value, sums)
    return _joined(sums, values[0].dtype), normaliser


def differentiate(
    grad_output: Tensor,
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    normaliser: Tensor,
    scale: float,
    min_norm: Tensor,
) -> list[Tensor]:
    """Return the gradients of query, all keys and all values, in this order."""
    mean = torch.zeros_like(normaliser)
    pairs = [
        Pair(query, key, grad_output, value, _factor(key, scale, min_norm), normaliser, mean)
        for key, value in zip(keys, values, strict=True)
    ]
    for pair in pairs:
        _sum(pair, mean)
    sums = _partial_sums(query, query.shape[1])
    for pair in pairs:
        _paste(pair, pair.key, sums, gradient=True)
    grad_query = _joined(sums, query.dtype)
    del sums
    grad_keys, grad_values = [], []
    for pair in pairs:
        grad_keys.append(_grad_key(pair, min_norm))
        sums = _partial_sums(pair.key, pair.value.shape[1])
        _paste(pair, grad_output, sums, keys_own=True)
        grad_values.append(_joined(sums, pair.value.dtype))
        del sums
    return [grad_query, *grad_keys, *grad_values]


def _grad_key(pair: Pair, min_norm: Tensor) -> Tensor:
    """Return a level's gradient: through the products, less what goes through the norms.

    A patch whose norm is below ``min_norm`` was divided by a constant.
    """
    sums = _partial_sums(pair.key, pair.key.shape[1])
    _paste(pair, pair.query, sums, keys_own=True, gradient=True)
    along = torch.zeros_like(pair.factor)
    _sum(pair, along, keys_own=True)
    square = _patch_sums(pair.key.to(along.dtype).square().sum(dim=1, keepdim=True))
    along = torch.where(square > min_norm.square(), along / square, 0)
    through_norm = pair.key * _patch_sums(along)
    return (_joined(sums, along.dtype) - through_norm).to(pair.key.dtype)


def _factor(key: Tensor, scale: float, min_norm: Tensor) -> Tensor:
    square = key.to(accumulator(key)).square().sum(dim=1, keepdim=True)
    norm = _patch_sums(square).sqrt_().clamp_(min=min_norm.to(square.dtype))
    return (scale * math.log2(math.e) / norm).contiguous()


def _patch_sums(plane: Tensor) -> Tensor:
    """Return the sum over each pixel's 3×3 patch."""
    return F.avg_pool2d(plane, 3, stride=1, padding=1, divisor_override=1)


def _numbers(features: Tensor) -> tuple[int, int, int, int]:
    return len(features), 1, features.shape[2], features.shape[3]


def _partial_sums(own: Tensor, channels: int) -> Tensor:
    shape = (3, len(own), channels, *own.shape[2:])
    return own.new_zeros(shape, dtype=accumulator(own))


def _joined(sums: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what goes to a pixel from the one to its right, itself, and the one to its left."""
    to_left, whole, to_right = sums.unbind()
    whole[..., :-1] += to_left[..., 1:]
    whole[..., 1:] += to_right[..., :-1]
    return whole.to(dtype, copy=True)  # the other thirds need not be kept


def _sum(pair: Pair, total: Tensor, *, keys_own: bool = False) -> None:
    """Add to ``total``, (B, 1, height, width) of the own side; see ``sum_of_changes``."""
    arguments, grid = _prepared(pair, keys_own=keys_own)
    sum_of_changes[grid](*arguments, total, KEYS_OWN=keys_own, **_options(pair.query))


def _paste(
    pair: Pair, pasted: Tensor, sums: Tensor, *, keys_own: bool = False, gradient: bool = False
) -> None:
    """Add to ``sums``, three times the own side's size; see ``paste_others``."""
    arguments, (across, down, batch) = _prepared(pair, keys_own=keys_own)
    wide = pasted.shape[1]
    paste_others[(across * triton.cdiv(wide, WIDE), down, batch)](
        *arguments,
        pasted,
        sums,
        wide,
        KEYS_OWN=keys_own,
        GRADIENT=gradient,
        WIDE=WIDE,
        **_options(pair.query),
    )


def _prepared(pair: Pair, *, keys_own: bool) -> tuple[tuple[Any, ...], tuple[int, int, int]]:
    """Return what all kernels take first, and how many programs there are."""
    match, value = (pair.query, pair.key), (pair.gradient, pair.value)
    if keys_own:
        match, value = match[::-1], value[::-1]
    sizes = *match[0].shape[2:], *match[1].shape[2:]
    known = Known(pair.factor, pair.normaliser, pair.mean)
    depths = pair.key.shape[1], pair.value.shape[1]
    across, down = triton.cdiv(sizes[1], BLOCK["OWN"]), triton.cdiv(sizes[0], BLOCK["ROWS"])
    return (Sides(*match, *value), known, *sizes, *depths), (across, down, len(pair.query))


def _options(query: Tensor) -> dict[str, Any]:
    """Return how to multiply: fp32 exactly, unless PyTorch's own products may be shorter."""
    operand = TYPES.get(query.dtype, tl.float32)
    if triton.knobs.runtime.interpret and query.dtype == torch.bfloat16:
        operand = tl.float32  # NumPy, which interprets, has no bfloat16
    precision = "tf32" if torch.backends.cuda.matmul.allow_tf32 else "ieee"
    return {"OPERAND": operand, "PRECISION": precision, **BLOCK}
