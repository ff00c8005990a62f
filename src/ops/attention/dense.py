"""Patch attention that keeps a score for each pair of pixels: the definition, to compare with.

Every query patch is compared with every key patch of every level at once. Besides the form in
matrix products there is the papers' own.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.ops.attention.contract import (
    KERNEL,
    OVERLAP,
    accumulator,
    normalise_patches,
    paste_patches,
    unfold_patches,
)


def dense_patch_attention(
    query: Float[Tensor, "b k h w"],
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    *,
    softmax_scale: float = 10.0,
    min_norm: float | Tensor = 1e-4,
    scale: int = 1,
    overlap: float = OVERLAP,
    windows: Sequence[int] | None = None,
) -> Float[Tensor, "b c h2 w2"]:
    """Attend from every patch of ``query`` to every patch of all levels jointly.

    Args:
        query: (B, K, H, W); its patches are not normalised.
        keys: One (B, K, H_s, W_s) a level; their patches are normalised.
        values: One (B, C, s·H_s, s·W_s) a level, s times as large as ``keys``.
        softmax_scale: Factor on the scores before the softmax.
        min_norm: Lower bound of a key patch's norm.
        scale: s, the size of values and output over that of keys and query.
        overlap: What the sum of overlapping patches is divided by.
        windows: Of each level the side of the search window, in pixels of the query; None sees
            all. It saves nothing here: this is ``local_patch_attention`` for other programs.

    Returns:
        (B, C, s·H, s·W); memory B·H·W·Σ H_s·W_s scores.
    """
    height, width = query.shape[-2:]
    key, value = _joined(keys, values, min_norm, scale)
    scores = softmax_scale * unfold_patches(query).transpose(1, 2) @ key  # (b, hw, l)
    if windows is not None:
        hidden = [
            hidden_keys(query, level, window) for level, window in zip(keys, windows, strict=True)
        ]
        scores = scores.masked_fill(torch.cat(hidden, dim=1), -torch.inf)
    attention = scores.softmax(dim=-1, dtype=accumulator(scores)).to(value.dtype)
    pasted = value @ attention.transpose(1, 2)
    return paste_patches(pasted, height, width, scale=scale, overlap=overlap)


def per_sample_patch_attention(
    query: Float[Tensor, "b k h w"],
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    *,
    softmax_scale: float = 10.0,
    min_norm: float | Tensor = 1e-4,
    scale: int = 1,
    overlap: float = OVERLAP,
) -> Float[Tensor, "b c h2 w2"]:
    """Do as ``dense_patch_attention`` does, one sample after another, as the papers' code does.

    Every sample makes convolution kernels of its own: its key patches are the kernels of a
    convolution that gives the scores, its value patches those of a transposed convolution that
    pastes the result (Mei et al., 2020, arXiv:2004.13824, Sec. 3, and arXiv:2006.01424).
    """
    key, value = _joined(keys, values, min_norm, scale)
    side = KERNEL * scale
    results = []
    for sample in range(len(query)):
        match = torch.unflatten(key[sample].T, 1, (-1, KERNEL, KERNEL))  # (l, k, 3, 3)
        paste = torch.unflatten(value[sample].T, 1, (-1, side, side))  # (l, c, 3s, 3s)
        scores = F.conv2d(query[sample : sample + 1], match, padding=1)  # (1, l, h, w)
        attention = (softmax_scale * scores).softmax(dim=1)
        results.append(F.conv_transpose2d(attention, paste, stride=scale, padding=scale))
    return torch.cat(results) / overlap


def hidden_keys(query: Tensor, level: Tensor, window: int) -> Tensor:
    """Return (queries, keys of a level), true where a key is outside a query's window."""
    rows, columns = (
        _outside(query.shape[axis], level.shape[axis], window, query.device) for axis in (2, 3)
    )
    return (rows[:, None, :, None] | columns[:, None, :]).flatten(2).flatten(0, 1)


def _outside(size: int, level: int, window: int, device: torch.device) -> Tensor:
    """Return (size, level), true where ``window_of`` has no key, in steps that can be traced."""
    at, key = torch.arange(size, device=device), torch.arange(level, device=device)
    side: int = torch.sym_min(level, (window * level + size - 1) // size)  # type: ignore[no-untyped-call]
    first = ((2 * at + 1) * level // (2 * size) - side // 2).clamp(min=0)
    first = torch.minimum(first, level - side + torch.zeros_like(first))[:, None]
    return (key < first) | (key >= first + side)


def _joined(
    keys: Sequence[Tensor], values: Sequence[Tensor], min_norm: float | Tensor, scale: int
) -> tuple[Float[Tensor, "b d l"], Float[Tensor, "b e l"]]:
    """Return the normalised key patches and the value patches of all levels, side by side."""
    key = torch.cat([normalise_patches(unfold_patches(level), min_norm) for level in keys], dim=2)
    return key, torch.cat([unfold_patches(level, scale) for level in values], dim=2)
