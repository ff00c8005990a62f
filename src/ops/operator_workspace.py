"""Memory that operators hold for themselves while they run, in inference on the CPU.

What they return is not in it. Measured by the high-water mark of processes with torch 2.13.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from src.core.memory import budget_bytes
from src.ops.chunked_patch_attention import AUTO
from src.ops.row_blocks import plan_rows

LANES = 16
"""Channels in a block of oneDNN's layouts, and numbers in the kernel's vectors, at most."""

TILES = 10
"""Tiles of scores that a thread of the kernel holds, about a fourth of a megabyte each."""


def workspace_bytes(operator: Any, args: Sequence[Any], result: object) -> int:  # noqa: ANN401
    """Return the bytes that ``operator`` holds at its peak beside arguments and result."""
    estimate = WORKSPACE.get(operator)
    return estimate(args, result) if estimate else 0


def _convolution(args: Sequence[Any], result: object) -> int:
    """Count oneDNN's copies in blocks of channels: of the input, then of the output.

    The result's own pages are written last, when the input's copy is gone.
    """
    image, transposed = args[0], bool(args[6])
    if not isinstance(result, Tensor) or image.device.type != "cpu":
        return 0
    if image.is_contiguous(memory_format=torch.channels_last):
        return 0
    out = _blocked(result)
    if transposed:
        return _blocked(image) + 2 * out
    taken = _blocked(image) if image.shape[1] >= LANES else 0
    return max(taken + out - _bytes(result), out)


def _native(args: Sequence[Any], _: object) -> int:
    """Count the kernel's copies of a sample: keys by channel, values by pixel, both in frames."""
    query, keys, values = args[0], args[1], args[2]
    samples = min(len(query), torch.get_num_threads())
    numbers = _up(query.shape[1]) * query.shape[2] * query.shape[3]
    for key, value in zip(keys, values, strict=True):
        framed = (key.shape[2] + 8) * (key.shape[3] + 2)
        numbers += framed * (key.shape[1] + _up(value.shape[1]) + 2)
    tiles = torch.get_num_threads() * TILES * 2**18
    return int(samples * numbers * query.element_size() + tiles)


def _chunked(args: Sequence[Any], _: object) -> int:
    query, keys, values, scale, given = args[0], args[1], args[2], args[5], args[6]
    budget = budget_bytes("auto" if given == AUTO else given, query.device)
    return plan_rows(query, keys, values[0].shape[1] * scale**2, budget).bytes_held


def _blocked(image: Tensor) -> int:
    return _bytes(image) // image.shape[1] * _up(image.shape[1])


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _up(channels: int) -> int:
    return -(-channels // LANES) * LANES


WORKSPACE: Mapping[Any, Callable[[Sequence[Any], object], int]] = {
    torch.ops.aten.convolution.default: _convolution,
    torch.ops.exemplar.patch_attention.default: _native,
    torch.ops.exemplar.chunked_patch_attention.default: _chunked,
}
