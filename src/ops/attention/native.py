"""Patch attention by the C++ kernel, as a PyTorch operator with its own backward.

The kernel computes what ``dense_patch_attention`` does without ever holding the scores: the dot
product of two patches is a box sum along the diagonals of dot products of pixels, so tiles of a few
kilobytes are swept along the diagonals, once for the softmax's denominators, once for the result.
"""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from src.ops.attention.cpp.build import load

DTYPES = {torch.float32: "float", torch.float64: "double"}

_Integers = ctypes.POINTER(ctypes.c_int64)
_Pointers = ctypes.POINTER(ctypes.c_void_p)


class _Problem(ctypes.Structure):
    """``struct PatchAttention`` of patch_attention.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("batch", "match", "channels", "height", "width")),
        ("levels", ctypes.c_int64),
        ("threads", ctypes.c_int64),
        ("level_height", _Integers),
        ("level_width", _Integers),
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


# torch.compile asks once; it could not follow what a compiler does
@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _compiled() -> bool:
    return load("patch_attention") is not None


@torch.library.custom_op("exemplar::patch_attention", mutates_args=())
def native_patch_attention(
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    softmax_scale: float,
    min_norm: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Attend and paste, on the CPU in float32 or float64; overlaps are summed, not divided.

    Args:
        query: (B, K, H, W).
        keys: One (B, K, H_s, W_s) a level.
        values: One (B, C, H_s, W_s) a level.
        softmax_scale: Factor on the scores.
        min_norm: One number, the lower bound of a key patch's norm.

    Returns:
        (B, C, H, W), and of each query, (B, H, W), what was subtracted from its scores, which are
        to base 2, and the denominator of its softmax.
    """
    batch, _, height, width = query.shape
    query, keys, values = query.contiguous(), _contiguous(keys), _contiguous(values)
    output = query.new_empty(batch, values[0].shape[1], height, width)
    peak, denominator = (query.new_empty(batch, height, width) for _ in range(2))
    problem = _problem(query, keys, values, softmax_scale, min_norm)
    problem.output, problem.peak = output.data_ptr(), peak.data_ptr()
    problem.denominator = denominator.data_ptr()
    _call("forward", query.dtype, problem)
    return output, peak, denominator


@native_patch_attention.register_fake
def _(
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    softmax_scale: float,
    min_norm: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    batch, _, height, width = query.shape
    output = query.new_empty(batch, values[0].shape[1], height, width)
    peak, denominator = (query.new_empty(batch, height, width) for _ in range(2))
    return output, peak, denominator


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
) -> list[Tensor]:
    """Return the gradients of query, all keys and all values, in this order."""
    query, keys, values = query.contiguous(), _contiguous(keys), _contiguous(values)
    grad_output, peak = grad_output.contiguous(), peak.contiguous()
    gradients = [torch.empty_like(tensor) for tensor in (query, *keys, *values)]
    problem = _problem(query, keys, values, softmax_scale, min_norm)
    problem.peak, problem.denominator = peak.data_ptr(), denominator.contiguous().data_ptr()
    problem.grad_output, problem.grad_query = grad_output.data_ptr(), gradients[0].data_ptr()
    problem.grad_keys = _pointers(gradients[1 : 1 + len(keys)])
    problem.grad_values = _pointers(gradients[1 + len(keys) :])
    _call("backward", query.dtype, problem)
    return gradients


@_backward.register_fake
def _(
    grad_output: Tensor,
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    peak: Tensor,
    denominator: Tensor,
    softmax_scale: float,
    min_norm: Tensor,
) -> list[Tensor]:
    return [torch.empty_like(tensor.contiguous()) for tensor in (query, *keys, *values)]


def _setup_context(
    ctx: torch.autograd.function.FunctionCtx,
    inputs: tuple[Tensor, list[Tensor], list[Tensor], float, Tensor],
    output: tuple[Tensor, Tensor, Tensor],
) -> None:
    query, keys, values, softmax_scale, min_norm = inputs
    ctx.save_for_backward(query, min_norm, *output[1:], *keys, *values)
    ctx.levels, ctx.softmax_scale = len(keys), softmax_scale  # type: ignore[attr-defined]


def _differentiate(
    ctx: torch.autograd.function.FunctionCtx,
    grad_output: Tensor,
    grad_peak: Tensor | None,
    grad_denominator: Tensor | None,
) -> tuple[Tensor, list[Tensor], list[Tensor], None, None]:
    levels: int = ctx.levels  # type: ignore[attr-defined]
    query, min_norm, peak, denominator, *rest = ctx.saved_tensors  # type: ignore[attr-defined]
    keys, values = rest[:levels], rest[levels:]
    scale: float = ctx.softmax_scale  # type: ignore[attr-defined]
    gradients = _backward(grad_output, query, keys, values, peak, denominator, scale, min_norm)
    return gradients[0], gradients[1 : 1 + levels], gradients[1 + levels :], None, None


native_patch_attention.register_autograd(_differentiate, setup_context=_setup_context)


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
        level_height=integers(*(key.shape[2] for key in keys)),
        level_width=integers(*(key.shape[3] for key in keys)),
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
