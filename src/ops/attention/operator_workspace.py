"""Memory that operators hold for themselves while they run, in inference on the CPU.

What they return is not in it. Measured by the high-water mark of processes with torch 2.13.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from src.core.memory import budget_bytes
from src.ops.attention import (  # noqa: F401  they define the operators
    native,
    triton_form,
)
from src.ops.attention.chunked import AUTO
from src.ops.attention.row_blocks import plan_rows

LANES = 16
"""Channels in a block of oneDNN's layouts, and numbers in the kernel's vectors, at most."""

SMALL_SIDES = 128
"""Height and width together up to which PyTorch interpolates bilinearly with channels last."""

COLUMNS = 64
"""Queries that a strip of the kernel is wide, at most (``src/ops/attention/cpp/patch_bands.h``)."""

TILES = 10
"""Tiles of scores that a thread of the kernel holds, about a fourth of a megabyte each."""


def workspace_bytes(operator: Any, args: Sequence[Any], result: object) -> int:  # noqa: ANN401
    """Return the bytes that ``operator`` holds at its peak beside arguments and result."""
    estimate = WORKSPACE.get(operator)
    return estimate(args, result) if estimate else 0


def _convolution(args: Sequence[Any], result: object) -> int:
    """Count oneDNN's copies in blocks of channels: of weights, of the input, then of the output.

    The result's own pages are written last, when the input's copy is gone.
    """
    image, weight, transposed, groups = args[0], args[1], bool(args[6]), int(args[8])
    if not isinstance(result, Tensor) or image.device.type != "cpu":
        return 0
    if _channels_last(result):
        return 2 * _bytes(weight) if groups == 1 else 0
    copied = 0 if image.is_contiguous() else _bytes(image)
    out = _blocked(result)
    if transposed:
        return copied + 2 * out
    if groups == 1 and weight.shape[2:].numel() == 1:  # a product of matrices
        return copied
    taken = _blocked(image) if image.shape[1] >= LANES else 0
    return max(taken + out - _bytes(result), out, copied) + _bytes(weight)


def _bilinear(args: Sequence[Any], result: object) -> int:
    """Count the copies with channels last that small results are made from and in."""
    image = args[0]
    if not isinstance(result, Tensor) or image.device.type != "cpu" or _channels_last(image):
        return 0
    if sum(result.shape[2:]) > SMALL_SIDES:
        return 0
    return _bytes(image) + _bytes(result)


def _layer_norm(args: Sequence[Any], _: object) -> int:
    """Count the copy that it makes of an input that does not lie in one piece."""
    return 0 if args[0].is_contiguous() else _bytes(args[0])


def native_bytes(
    query: Tensor, keys: Sequence[Tensor], channels: int, *, backward: bool = False
) -> int:
    """Return the most that the C++ kernel holds: as many samples in frames as there are threads.

    In inference each thread collects the result of a strip of queries.

    Args:
        query: (B, K, H, W).
        keys: One (B, K, H_s, W_s) a level.
        channels: Of a pixel's value.
        backward: Whether gradients are meant: each thread then sums its own.
    """
    threads, match = torch.get_num_threads(), query.shape[1]
    samples = min(len(query), threads)
    sums = samples + threads - 1  # a thread that goes on to the next sample begins another sum
    numbers = (
        samples * query.shape[2] * query.shape[3] * (_up(match) + _up(channels) * backward + 1)
    )
    for key in keys:
        height, width = key.shape[2:]
        framed = (height + 2 * (max(1, 256 // (width + 1)) + 3)) * (width + 1) + 8 * LANES
        if backward:
            numbers += samples * framed * (match + channels + _up(match) + 3)
            numbers += sums * framed * (_up(match) + _up(channels) + 1)
        else:
            numbers += samples * framed * (match + _up(channels) + 3)
    if not backward:
        numbers += threads * query.shape[2] * min(COLUMNS, query.shape[3]) * _up(channels)
    size = max(4, query.element_size())
    return numbers * size + threads * TILES * 2**16 * size


def _native(args: Sequence[Any], _: object) -> int:
    query, keys, values = args[0], args[1], args[2]
    return native_bytes(query, keys, values[0].shape[1])


def _triton(args: Sequence[Any], _: object) -> int:
    """Count three partial results in 32 bits, and numbers of each pixel, once more while made."""
    query, keys, values = args[0], args[1], args[2]
    pixels = query.shape[2] * query.shape[3]
    numbers = pixels * (3 * values[0].shape[1] + 2)
    numbers += sum(key.shape[2] * key.shape[3] for key in keys) + pixels * query.shape[1]
    return int(len(query) * numbers * max(4, query.element_size()))


def _chunked(args: Sequence[Any], _: object) -> int:
    query, keys, values, scale, given = args[0], args[1], args[2], args[5], args[6]
    budget = budget_bytes("auto" if given == AUTO else given, query.device)
    return plan_rows(query, keys, values[0].shape[1] * scale**2, budget).bytes_held


def _channels_last(image: Tensor) -> bool:
    last = image.is_contiguous(memory_format=torch.channels_last)
    return last and not image.is_contiguous()


def _blocked(image: Tensor) -> int:
    return _bytes(image) // image.shape[1] * _up(image.shape[1])


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _up(channels: int) -> int:
    return -(-channels // LANES) * LANES


WORKSPACE: Mapping[Any, Callable[[Sequence[Any], object], int]] = {
    torch.ops.aten.convolution.default: _convolution,
    torch.ops.aten.native_layer_norm.default: _layer_norm,
    torch.ops.aten.upsample_bilinear2d.default: _bilinear,
    torch.ops.aten.upsample_bilinear2d.vec: _bilinear,
    torch.ops.exemplar.patch_attention.default: _native,
    torch.ops.exemplar.triton_patch_attention.default: _triton,
    torch.ops.exemplar.chunked_patch_attention.default: _chunked,
}
