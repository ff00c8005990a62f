"""What operators cost: the products of our own ones, and the memory that operators work in.

Memory is what an operator has for itself while it runs, in inference on the CPU, beside arguments
and result; measured by the high-water mark of processes with torch 2.13. Of PyTorch's operators
only convolutions have so much that it shows in the peak of a network.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from src.ops.attention.chunked import given_bytes
from src.ops.attention.contract import window_side
from src.ops.attention.native import filled_up, native_bytes, windowed_bytes
from src.ops.attention.rows import plan_rows


def _paired(
    *shapes: Any,  # noqa: ANN401
    match: int,
    value: int,
    patch: int = 1,
    backward: bool = False,
    windowed: bool = False,
    **_: object,
) -> int:
    """Count for an operator that takes query, keys and values, after a gradient or not.

    For each pair of a query and a key it multiplies ``match`` times what is compared and ``value``
    times what is pasted, of one pixel or of the ``patch`` pixels of whole patches. A
    ``windowed`` operator takes the levels' windows last but one.
    """
    query, keys, values = shapes[backward : backward + 3]
    windows = (shapes[-2] if windowed else None) or [max(query[2:])] * len(keys)
    seen = sum(
        window_side(query[2], key[2], window) * window_side(query[3], key[3], window)
        for key, window in zip(keys, windows, strict=True)
    )
    pairs = query[0] * query[2] * query[3] * seen
    cell = values[0][2] * values[0][3] // (keys[0][2] * keys[0][3])
    return int(2 * pairs * patch * (match * query[1] + value * values[0][1] * cell))


def _fused(*shapes: Any, products: int, backward: bool = False, **_: object) -> int:  # noqa: ANN401
    """Count for PyTorch's fused attention, of (batch, heads, pixels, channels)."""
    query, key = shapes[backward : backward + 2]
    return int(2 * products * math.prod(query) * key[2])


_FUSED = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001
_FUSED_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward  # noqa: SLF001

# The kernel counts the products of pixels that no form without unfolding can do without: neither
# what it computes a second time, nor its box sums. The chunked form's backward makes the scores
# and the weights' gradient twice.
FLOPS: Mapping[Any, Callable[..., int]] = {
    torch.ops.exemplar.patch_attention: partial(_paired, match=1, value=1, windowed=True),
    torch.ops.exemplar.patch_attention_backward: partial(
        _paired, match=3, value=2, backward=True, windowed=True
    ),
    torch.ops.exemplar.chunked_patch_attention: partial(_paired, match=1, value=1, patch=9),
    torch.ops.exemplar.chunked_patch_attention_backward: partial(
        _paired, match=4, value=3, patch=9, backward=True
    ),
    # PyTorch counts those of a GPU itself
    _FUSED: partial(_fused, products=2),
    _FUSED_BACKWARD: partial(_fused, products=5, backward=True),
}
"""From the shapes of an operator's arguments to its floating-point operations in products."""


def workspace_bytes(operator: Any, args: Sequence[Any], result: object) -> int:  # noqa: ANN401
    """Return the bytes that ``operator`` needs at its peak beside arguments and result."""
    estimate = WORKSPACE.get(operator)
    return estimate(args, result) if estimate else 0


def _convolution(args: Sequence[Any], result: object) -> int:
    """Count oneDNN's copies in blocks of channels: of weights and input, then of the output.

    The result's own pages are written last, when the input's copy is gone. Features with channels
    last are not copied, nor is what is a product of matrices.
    """
    image, weight, groups = args[0], args[1], int(args[8])
    if not isinstance(result, Tensor) or image.device.type != "cpu" or not result.is_contiguous():
        return 0
    if groups == 1 and weight.shape[2:].numel() == 1:
        return 0
    copy = _blocked(result)
    return int(weight.nbytes) + max(_blocked(image) + copy - result.nbytes, copy)


def _blocked(image: Tensor) -> int:
    return image.nbytes // image.shape[1] * filled_up(image.shape[1])


def _native(args: Sequence[Any], _: object) -> int:
    query, keys, values, _, _, windows, _ = args
    if windows is None:
        return native_bytes(query, keys, values[0].shape[1])
    return windowed_bytes(query, keys, values[0].shape[1], windows)


def _chunked(args: Sequence[Any], _: object) -> int:
    query, keys, values, scale, budget = *args[:3], args[5], args[6]
    channels = values[0].shape[1] * scale**2
    return plan_rows(query, keys, channels, given_bytes(budget, query)).bytes_held


WORKSPACE: Mapping[Any, Callable[[Sequence[Any], object], int]] = {
    torch.ops.aten.convolution.default: _convolution,
    torch.ops.exemplar.patch_attention.default: _native,
    torch.ops.exemplar.chunked_patch_attention.default: _chunked,
}
