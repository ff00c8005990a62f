"""Attention in the form that suits: the C++ kernel on the CPU, else PyTorch in blocks."""

import functools
import logging
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.core.memory import MemoryBudget
from src.ops.attention.chunked import chunked_patch_attention
from src.ops.attention.contract import OVERLAP, windows_of
from src.ops.attention.dense import dense_patch_attention, hidden_keys
from src.ops.attention.native import DTYPES, available, native_bytes, native_patch_attention

logger = logging.getLogger(__name__)

Implementation = Literal["auto", "dense", "chunked", "native", "triton", "plain"]
"""How attention is computed. ``plain`` and ``triton`` stand in files of earlier versions: the first
was the name of ``chunked``, the second a kernel that was slower than it (docs/decisions/0060).
"""


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
    window: int | Sequence[int] | None = None,
) -> Float[Tensor, "b c h2 w2"]:
    """Attend as ``dense_patch_attention`` does; the result agrees to float32's rounding.

    With ``window`` it is what ``local_patch_attention`` does: exact where no image is larger.

    Args:
        query: (B, K, H, W).
        keys: One (B, K, H_s, W_s) a level.
        values: One (B, C, s·H_s, s·W_s) a level.
        softmax_scale: Factor on the scores.
        min_norm: One number, the lower bound of a key patch's norm.
        scale: s, the size of values and output over that of keys and query.
        overlap: What the sum of overlapping patches is divided by.
        memory_budget: Bytes to be used at most beside in- and outputs, gradients included, or
            ``auto``: ``chunked`` takes a share of what is free, and ``native`` what it needs,
            which are copies of one sample for each thread and no scores.
        implementation: ``native`` is the C++ kernel, ``chunked`` is PyTorch; ``auto`` takes the
            kernel where it can be compiled and keeps within ``memory_budget``. ``dense`` keeps a
            score for each pair of pixels, whatever the budget: it is for export, because other
            programs know each of its operators.
        window: Side of the search window in pixels of the query, for all levels or one number a
            level; None sees all keys. ``memory_budget`` does not bind it: both forms, the kernel's
            and PyTorch's, work in blocks of a size of their own.

    Returns:
        (B, C, s·H, s·W), of the values' type.

    Raises:
        RuntimeError: If ``native`` is asked for and there is no kernel here, or it needs more than
            ``memory_budget``.
        ValueError: If ``window`` has no pixel.
    """
    options: dict[str, Any] = {"softmax_scale": softmax_scale, "min_norm": min_norm, "scale": scale}
    windows = None if window is None else windows_of(window, len(keys))
    if implementation == "dense":
        return dense_patch_attention(
            query, keys, values, overlap=overlap, windows=windows, **options
        )
    if windows is not None and min(windows) < max(query.shape[-2:]):
        if _kernel_is_taken(query, implementation):
            return _by_kernel(query, keys, values, windows, **options) / overlap
        # only now: its decorator imports torch._dynamo, seconds of each start
        from src.ops.attention.local import local_patch_attention

        return local_patch_attention(
            query, keys, values, window=windows, overlap=overlap, **options
        )
    by_name = implementation == "native"
    if _kernel_is_taken(query, implementation) and (
        memory_budget == "auto" or _fits(query, keys, values, scale, memory_budget, by_name=by_name)
    ):
        pasted = _by_kernel(query, keys, values, None, **options)
        return pasted / overlap if pasted.requires_grad else pasted.div_(overlap)
    return chunked_patch_attention(
        query, keys, values, overlap=overlap, memory_budget=memory_budget, **options
    )


def pixel_attention(
    query: Float[Tensor, "b k h w"],
    key: Float[Tensor, "b k h w"],
    value: Float[Tensor, "b c h w"],
    *,
    window: int | None = None,
    implementation: Implementation = "auto",
) -> Float[Tensor, "b c h w"]:
    """Return at each pixel the mean of ``value`` under softmax(query·key), of its window or of all.

    Args:
        query: (B, K, H, W).
        key: (B, K, H, W).
        value: (B, C, H, W).
        window: Side of the search window in pixels; None sees all.
        implementation: Within a window ``native`` is the C++ kernel and ``auto`` takes it where
            there is one; any other is PyTorch's fused attention, as it is without a window, to
            which ``dense`` gives the window as a mask of all pairs.

    Raises:
        RuntimeError: If ``native`` is asked for within a window and there is no kernel here.
        ValueError: If ``window`` has no pixel.
    """
    if window is not None and implementation == "dense":
        flat = (tensor.flatten(2) for tensor in (query, key, value))
        hidden = hidden_keys(query, key, windows_of(window, 1)[0])
        return torch.unflatten(fused_pixel_attention(*flat, hidden=hidden), 2, value.shape[2:])
    if window is None or windows_of(window, 1)[0] >= max(query.shape[-2:]):
        flat = (tensor.flatten(2) for tensor in (query, key, value))
        return fused_pixel_attention(*flat).reshape(value.shape)
    if not _kernel_is_taken(query, implementation):
        from src.ops.attention.local import local_pixel_attention  # as above

        return local_pixel_attention(query, key, value, window=window)
    wide = _width(query)
    query_, key_, value_ = (tensor.to(wide) for tensor in (query, key, value))
    nothing = query_.new_zeros(1)
    mixed: Tensor = native_patch_attention(query_, [key_], [value_], 1.0, nothing, [window], 0)[0]
    return mixed.to(value.dtype)


def fused_pixel_attention(
    query: Float[Tensor, "b k n"],
    key: Float[Tensor, "b k m"],
    value: Float[Tensor, "b c m"],
    *,
    softmax_scale: float = 1.0,
    hidden: Bool[Tensor, "n m"] | None = None,
) -> Float[Tensor, "b c n"]:
    """Return for each of n pixels the mean of ``value`` under softmax(scale·query·key).

    The scores of all pairs are never kept, in training either: PyTorch's fused attention (Dao et
    al., 2022, arXiv:2205.14135) recomputes blocks of them in backward. It wants queries, keys and
    values of one width, so zeros fill up the narrower ones; they change no dot product.

    Args:
        query: (B, K, n), pixels flattened.
        key: (B, K, m).
        value: (B, C, m).
        softmax_scale: Factor on the dot products; 1 is the embedded Gaussian of Wang et al., 2018,
            arXiv:1711.07971, Eq. 4.
        hidden: True where a pixel does not see another; None hides nothing.
    """
    seen = None if hidden is None else ~hidden
    width = max(query.shape[1], value.shape[1])
    attended = F.scaled_dot_product_attention(
        _rows(query, width),
        _rows(key, width),
        _rows(value, width),
        attn_mask=seen,
        scale=softmax_scale,
    )
    # Laid out as it is read: with its odd strides the next convolution would copy it anyway.
    return attended[:, 0, :, : value.shape[1]].transpose(1, 2).contiguous()


def _rows(pixels: Float[Tensor, "b c n"], width: int) -> Float[Tensor, "b 1 n w"]:
    """Return one row a pixel, filled up with zeros to ``width`` numbers."""
    filled = F.pad(pixels.transpose(1, 2), (0, width - pixels.shape[1]))
    return filled.unsqueeze(1).contiguous()  # else PyTorch falls back to keeping the scores


def _kernel_is_taken(query: Tensor, implementation: Implementation) -> bool:
    if implementation == "native" and not available(query):
        raise RuntimeError(
            "implementation=native: there is no kernel for this device, or no C++ compiler; "
            "use implementation=auto."
        )
    return implementation in {"auto", "native"} and available(query)


def _width(query: Tensor) -> torch.dtype:
    """Return the type in which the kernel computes."""
    return query.dtype if query.dtype in DTYPES else torch.float32


def _by_kernel(
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    windows: Sequence[int] | None,
    *,
    softmax_scale: float,
    min_norm: Tensor,
    scale: int,
) -> Tensor:
    """Call the kernel, which is for s = 1: s×s cells of values are channels of a pixel.

    A 3s×3s patch at stride s is a 3×3 patch of cells, so cross-scale attention is the same kernel.
    Nothing is asked of sizes where s is 1, for export's sake.
    """
    cells = values if scale == 1 else [F.pixel_unshuffle(value, scale) for value in values]
    dtype = _width(query)
    typed = query.to(dtype), [key.to(dtype) for key in keys], [cell.to(dtype) for cell in cells]
    pasted: Tensor = native_patch_attention(*typed, softmax_scale, min_norm, windows, 1)[0]
    return (pasted if scale == 1 else F.pixel_shuffle(pasted, scale)).to(values[0].dtype)


def _fits(
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    scale: int,
    memory_budget: int,
    *,
    by_name: bool,
) -> bool:
    """Return whether the C++ kernel fits the budget: no form of it needs less."""
    needed = _kernel_bytes(query, keys, values, scale)
    if needed > memory_budget and by_name:
        raise RuntimeError(
            f"implementation=native: the kernel needs {needed / 2**20:.1f} MiB here, more than "
            f"memory_budget={memory_budget}; raise it to {needed}, or use "
            "implementation=chunked, which works in blocks that fit."
        )
    if needed > memory_budget and not torch.compiler.is_compiling():  # a trace writes to no log
        _warn(memory_budget)
    return needed <= memory_budget


def _kernel_bytes(
    query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], scale: int
) -> int:
    """Return what the kernel needs beside in- and outputs, with the copies around it.

    Those are of what is not 32 bits wide or is shuffled, and of a result before its division.
    """
    leaves = (query, *keys, *values)
    backward = torch.is_grad_enabled() and any(leaf.requires_grad for leaf in leaves)
    inside = native_bytes(query, keys, values[0].shape[1] * scale**2, backward=backward)
    copied = leaves if query.dtype not in DTYPES else values if scale > 1 else ()
    outputs = (int(query.dtype not in DTYPES or scale > 1) + backward) * values[0].shape[1]
    numbers = outputs * len(query) * query.shape[2] * query.shape[3] * scale**2
    numbers += sum(leaf.numel() for leaf in copied) * (1 + backward)
    return inside + numbers * max(4, query.element_size())


@functools.cache  # one line, not one in each step of training
def _warn(budget: int) -> None:
    logger.warning(
        "The C++ kernel does not fit into memory_budget=%d: attention is PyTorch's, in blocks, "
        "which is slower. A larger budget, or memory_budget=auto, brings the kernel back.",
        budget,
    )
