"""Patch attention by the C++ kernel, as a PyTorch operator with its own backward.

The kernel computes what ``dense_patch_attention`` does and never has the scores in memory: the dot
product of two patches is a box sum along the diagonals of dot products of pixels, so tiles of a few
kilobytes are swept along the diagonals, once for the softmax's denominators, once for the result.
"""

import ctypes
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from src.ops.attention.contract import differentiate_by, window_side
from src.ops.attention.cpp.build import load

DTYPES = {torch.float32: "float", torch.float64: "double"}

LANES = 16
"""Numbers in the kernel's vectors, at most; channels are filled up to a multiple."""

COLUMNS = 64
"""Queries that a strip of the kernel is wide, at most (``cpp/patch_bands.h``)."""

ROWS = 128
"""Queries that a strip is high within windows, at most."""

TILES = 10
"""Tiles of scores that a thread of the kernel works on, a fourth of a megabyte each."""

_Integers = ctypes.POINTER(ctypes.c_int64)
_Pointers = ctypes.POINTER(ctypes.c_void_p)


class _Problem(ctypes.Structure):
    """``struct PatchAttention`` of patch_attention.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("batch", "match", "channels", "height", "width")),
        ("levels", ctypes.c_int64),
        ("threads", ctypes.c_int64),
        ("reach", ctypes.c_int64),
        ("level_height", _Integers),
        ("level_width", _Integers),
        ("windows", _Integers),
        ("softmax_scale", ctypes.c_double),
        ("min_norm", ctypes.c_double),
        ("query", ctypes.c_void_p),
        ("keys", _Pointers),
        ("values", _Pointers),
        ("output", ctypes.c_void_p),
        ("peak", ctypes.c_void_p),
        ("denominator", ctypes.c_void_p),
        ("grad_output", ctypes.c_void_p),
        ("grad_query", ctypes.c_void_p),
        ("grad_keys", _Pointers),
        ("grad_values", _Pointers),
    )


def available(query: Tensor) -> bool:
    """Return whether the kernel is there for tensors like ``query``."""
    return query.device.type == "cpu" and bool(_compiled())


def _compiled() -> bool:
    return load("patch_attention") is not None


# torch.compile asks once; it could not follow what a compiler does. This is what
# torch.compiler.assume_constant_result does, which imports torch._dynamo: seconds of each start.
_compiled.__dict__["_dynamo_marked_constant"] = True


@torch.library.custom_op("exemplar::patch_attention", mutates_args=())
def native_patch_attention(
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    softmax_scale: float,
    min_norm: Tensor,
    windows: Sequence[int] | None,
    reach: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Attend and paste, on the CPU in float32 or float64; overlaps are summed, not divided.

    Arguments are those of ``dense_patch_attention`` at s = 1, and:

    Args:
        query: (B, K, H, W).
        keys: One (B, K, H_s, W_s) a level.
        values: One (B, C, H_s, W_s) a level.
        softmax_scale: Factor on the scores.
        min_norm: Lower bound of a key patch's norm.
        windows: Of each level the side of the search window in pixels of the query, as
            ``local_patch_attention`` means it; None sees all keys.
        reach: 1 compares and pastes 3×3 patches; 0 pixels, and no key is divided by its norm.

    Returns:
        (B, C, H, W), and of each query, (B, H, W), what was subtracted from its scores, which are
        to base 2, and the denominator of its softmax.
    """
    query, keys, values = query.contiguous(), _contiguous(keys), _contiguous(values)
    output, peak, denominator = _results(query, keys, values)
    problem = _problem(query, keys, values, softmax_scale, min_norm, windows, reach)
    problem.output, problem.peak = output.data_ptr(), peak.data_ptr()
    problem.denominator = denominator.data_ptr()
    _call("forward", query.dtype, problem)
    return output, peak, denominator


@native_patch_attention.register_fake
def _results(
    query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], *__: object
) -> tuple[Tensor, Tensor, Tensor]:
    batch, _, height, width = query.shape
    output = query.new_empty(batch, values[0].shape[1], height, width)
    return output, query.new_empty(batch, height, width), query.new_empty(batch, height, width)


@torch.library.custom_op("exemplar::patch_attention_backward", mutates_args=())
def _backward(
    grad_output: Tensor,
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    peak: Tensor,
    denominator: Tensor,
    softmax_scale: float,
    min_norm: Tensor,
    windows: Sequence[int] | None,
    reach: int,
) -> list[Tensor]:
    """Return the gradients of query, all keys and all values, in this order."""
    query, keys, values = query.contiguous(), _contiguous(keys), _contiguous(values)
    grad_output, peak = grad_output.contiguous(), peak.contiguous()
    gradients = [torch.empty_like(tensor) for tensor in (query, *keys, *values)]
    problem = _problem(query, keys, values, softmax_scale, min_norm, windows, reach)
    problem.peak, problem.denominator = peak.data_ptr(), denominator.contiguous().data_ptr()
    problem.grad_output, problem.grad_query = grad_output.data_ptr(), gradients[0].data_ptr()
    problem.grad_keys = _pointers(gradients[1 : 1 + len(keys)])
    problem.grad_values = _pointers(gradients[1 + len(keys) :])
    _call("backward", query.dtype, problem)
    return gradients


differentiate_by(native_patch_attention, _backward)


def native_bytes(
    query: Tensor, keys: Sequence[Tensor], channels: int, *, backward: bool = False
) -> int:
    """Return the most memory that the kernel takes: as many framed samples as there are threads.

    In inference each thread collects the result of a strip of queries; with ``backward`` it sums
    its own gradients.

    Args:
        query: (B, K, H, W).
        keys: One (B, K, H_s, W_s) a level.
        channels: Of a pixel's value.
        backward: Whether gradients are meant.
    """
    threads, match = torch.get_num_threads(), query.shape[1]
    samples = min(len(query), threads)
    sums = samples + threads - 1  # a thread that goes on to the next sample begins another sum
    wide, deep = filled_up(channels), filled_up(match)
    numbers = samples * query.shape[2] * query.shape[3] * (deep + wide * backward + 1)
    for key in keys:
        height, width = key.shape[2:]
        framed = (height + 2 * (max(1, 256 // (width + 1)) + 3)) * (width + 1) + 8 * LANES
        if backward:
            numbers += samples * framed * (match + channels + deep + 3)
            numbers += sums * framed * (deep + wide + 1)
        else:
            numbers += samples * framed * (match + wide + 3)
    if not backward:
        numbers += threads * query.shape[2] * min(COLUMNS, query.shape[3]) * wide
    size = max(4, query.element_size())
    return numbers * size + threads * TILES * 2**16 * size


def windowed_bytes(
    query: Tensor, keys: Sequence[Tensor], channels: int, windows: Sequence[int]
) -> int:
    """Return about what the kernel takes within windows, in inference: what its threads look at.

    Each works on a strip of at most 128×64 queries and copies what these see of the levels.

    Args:
        query: (B, K, H, W).
        keys: One (B, K, H_s, W_s) a level.
        channels: Of a pixel's value.
        windows: Of each level, in pixels of the query.
    """
    sides = [min(ROWS, query.shape[2]), min(COLUMNS, query.shape[3])]
    wide, match = filled_up(channels), query.shape[1]
    numbers = math.prod(side + 4 for side in sides) * filled_up(match) + math.prod(sides) * wide
    longest = 0
    for key, window in zip(keys, windows, strict=True):
        height, width = (
            min(level, window_side(size, level, window) + (side + 4) * level // size + 4)
            for side, size, level in zip(sides, query.shape[2:], key.shape[2:], strict=True)
        )
        stride = width + 3 * LANES + 1
        seen = window_side(query.shape[3], key.shape[3], window)
        longest = max(longest, max(1, 256 // filled_up(seen + 8)) * stride + 8 * LANES)
        numbers += (height + 4) * stride * (match + wide + 3)
    numbers += 6 * (sides[1] + 4) * longest
    return torch.get_num_threads() * numbers * max(4, query.element_size())


def filled_up(channels: int) -> int:
    """Return the number of channels in whole vectors."""
    return -(-channels // LANES) * LANES


def _contiguous(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.contiguous() for tensor in tensors]


def _pointers(tensors: Sequence[Tensor]) -> "ctypes.Array[ctypes.c_void_p]":
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


def _problem(
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    softmax_scale: float,
    min_norm: Tensor,
    windows: Sequence[int] | None,
    reach: int,
) -> _Problem:
    batch, match, height, width = query.shape
    integers = ctypes.c_int64 * len(keys)
    return _Problem(
        batch=batch,
        match=match,
        channels=values[0].shape[1],
        height=height,
        width=width,
        levels=len(keys),
        threads=torch.get_num_threads(),
        reach=reach,
        level_height=integers(*(key.shape[2] for key in keys)),
        level_width=integers(*(key.shape[3] for key in keys)),
        windows=None if windows is None else integers(*windows),
        softmax_scale=softmax_scale,
        min_norm=float(min_norm),
        query=query.data_ptr(),
        keys=_pointers(keys),
        values=_pointers(values),
    )


def _call(direction: str, dtype: torch.dtype, problem: _Problem) -> None:
    library = load("patch_attention")
    if library is None or dtype not in DTYPES:
        raise RuntimeError(f"no native patch attention for {dtype} here; ask available() first.")
    function = getattr(library, f"patch_attention_{direction}_{DTYPES[dtype]}")
    if function(ctypes.byref(problem)):
        raise MemoryError("patch attention: out of memory; use smaller images or tiles.")
