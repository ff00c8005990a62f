"""Patch attention: 3×3 patches are matched, and 3s×3s patches are pasted.

At s = 1 pyramid attention (Mei et al., 2020, arXiv:2004.13824, Sec. 3), at s > 1 cross-scale
attention (Mei et al., 2020, arXiv:2006.01424); the arithmetic is that of the authors'
implementations. Every query patch is compared with every key patch of every level at once, so the
plain form holds a score for each pair of pixels; ``chunked_patch_attention`` gives the same result
within a memory budget.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

KERNEL = 3
OVERLAP = 4.0  # the authors' constant; interior pixels receive nine overlapping patches


def unfold_patches(features: Float[Tensor, "b c h w"], scale: int = 1) -> Float[Tensor, "b d n"]:
    """Return zero-padded 3s×3s patches at stride s, channel-major, then row by row.

    Returns:
        (B, 9·s²·C, H·W/s²): one patch around each cell of s×s pixels; H and W divide by s.
    """
    return F.unfold(features, KERNEL * scale, padding=scale, stride=scale)


def paste_patches(
    patches: Float[Tensor, "b d n"],
    height: int,
    width: int,
    *,
    scale: int = 1,
    overlap: float = OVERLAP,
) -> Float[Tensor, "b c h2 w2"]:
    """Sum overlapping 3s×3s patches, one a pixel of (H, W), into (s·H, s·W); divide by overlap."""
    size = (height * scale, width * scale)
    return F.fold(patches, size, KERNEL * scale, padding=scale, stride=scale) / overlap


def normalise_patches(
    patches: Float[Tensor, "b d n"], min_norm: float | Tensor
) -> Float[Tensor, "b d n"]:
    """Divide each patch by its Euclidean norm, or by ``min_norm`` where that is larger."""
    norm = patches.to(_accumulator(patches)).norm(dim=1, keepdim=True)
    return patches / torch.clamp(norm, min=min_norm).to(patches.dtype)


def dense_patch_attention(
    query: Float[Tensor, "b k h w"],
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    *,
    softmax_scale: float = 10.0,
    min_norm: float | Tensor = 1e-4,
    scale: int = 1,
    overlap: float = OVERLAP,
) -> Float[Tensor, "b c h2 w2"]:
    """Attend from every patch of ``query`` to every patch of all levels jointly: the plain form.

    Args:
        query: (B, K, H, W); its patches are not normalised.
        keys: One (B, K, H_s, W_s) a level; their patches are normalised.
        values: One (B, C, s·H_s, s·W_s) a level, s times as large as ``keys``.
        softmax_scale: Factor on the scores before the softmax.
        min_norm: Lower bound of a key patch's norm.
        scale: s, the size of values and output over that of keys and query.
        overlap: What the sum of overlapping patches is divided by.

    Returns:
        (B, C, s·H, s·W); memory B·H·W·Σ H_s·W_s scores.
    """
    height, width = query.shape[-2:]
    key = torch.cat([normalise_patches(unfold_patches(level), min_norm) for level in keys], dim=2)
    value = torch.cat([unfold_patches(level, scale) for level in values], dim=2)
    scores = softmax_scale * unfold_patches(query).transpose(1, 2) @ key  # (b, hw, l)
    attention = scores.softmax(dim=-1, dtype=_accumulator(scores)).to(value.dtype)
    pasted = value @ attention.transpose(1, 2)
    return paste_patches(pasted, height, width, scale=scale, overlap=overlap)


def chunked_patch_attention(
    query: Float[Tensor, "b k h w"],
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    *,
    softmax_scale: float = 10.0,
    min_norm: float | Tensor = 1e-4,
    scale: int = 1,
    overlap: float = OVERLAP,
    memory_budget: int = 2**28,
) -> Float[Tensor, "b c h2 w2"]:
    """Do as ``dense_patch_attention``, with at most ``memory_budget`` bytes beside in- and output.

    Blocks of query rows meet blocks of key rows under a running softmax, so neither the scores nor
    the unfolded patches of the whole image ever exist. One row against one row is the least
    that it works with, whatever the budget. Not for autograd.
    """
    batch, _, height, width = query.shape
    channels = values[0].shape[1]
    plan = _plan(query, keys, channels * scale**2, memory_budget)
    # s rows of padding above and below receive what patches of border rows hang over.
    size = (batch, channels, (height + 2) * scale, width * scale)
    output = query.new_zeros(size, dtype=values[0].dtype)
    for top in range(0, height, plan.query_rows):
        rows = min(plan.query_rows, height - top)
        block = softmax_scale * _row_patches(query, top, rows)
        blocks = _key_blocks(keys, values, plan.key_rows, min_norm, scale)
        pasted = _attend(block, blocks).transpose(1, 2).to(output.dtype)
        # Fold with vertical padding 0: rows top-1 … top+rows, that is top … top+rows+1 padded.
        output[:, :, top * scale : (top + rows + 2) * scale] += F.fold(
            pasted,
            ((rows + 2) * scale, width * scale),
            KERNEL * scale,
            padding=(0, scale),
            stride=scale,
        )
    return output[:, :, scale:-scale] / overlap


class _Plan(NamedTuple):
    query_rows: int
    key_rows: tuple[int, ...]


def _plan(query: Tensor, keys: Sequence[Tensor], channels: int, memory_budget: int) -> _Plan:
    """Share the budget: a quarter for the query block, the rest for a key block and the scores.

    ``channels`` are the numbers of a value patch over nine.
    """
    batch, match, height, width = query.shape
    numbers = memory_budget // (4 * batch)  # accumulation is in 4-byte floats
    a_query = 9 * (2 * match + 3 * channels)  # patches, result, its rescaled copy, folded
    query_rows = min(height, max(1, numbers // 4 // (a_query * width)))
    a_key = 9 * 2 * (match + channels) + 3 * query_rows * width  # patches and copy; scores
    key_rows = tuple(
        min(key.shape[2], max(1, numbers * 3 // 4 // (a_key * key.shape[3]))) for key in keys
    )
    return _Plan(query_rows, key_rows)


def _row_patches(features: Tensor, top: int, rows: int, scale: int = 1) -> Tensor:
    """Return the patches around ``rows`` rows of cells from ``top``: (B, rows·W/s, 9·s²·C)."""
    height = features.shape[2] // scale
    above, below = scale * int(top == 0), scale * int(top + rows == height)
    halo = features[:, :, max(0, top - 1) * scale : (top + rows + 1) * scale]
    halo = F.pad(halo, (0, 0, above, below))
    unfolded = F.unfold(halo, KERNEL * scale, padding=(0, scale), stride=scale)
    return unfolded.transpose(1, 2)


def _key_blocks(
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    key_rows: Sequence[int],
    min_norm: float | Tensor,
    scale: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield normalised key patches (B, 9·K, n) and value patches (B, n, 9·s²·C), by blocks."""
    for key, value, block in zip(keys, values, key_rows, strict=True):
        for top in range(0, key.shape[2], block):
            rows = min(block, key.shape[2] - top)
            patches = _row_patches(key, top, rows).transpose(1, 2)
            yield normalise_patches(patches, min_norm), _row_patches(value, top, rows, scale)


def _attend(block: Tensor, key_blocks: Iterator[tuple[Tensor, Tensor]]) -> Tensor:
    """Return Σ softmax(scores)·value for a block of scaled query patches, by a running softmax."""
    shape = (*block.shape[:2], 1)
    peak = block.new_full(shape, -torch.inf, dtype=_accumulator(block))
    total = torch.zeros_like(peak)
    result: Tensor | None = None
    for key, value in key_blocks:
        scores = (block @ key).to(peak.dtype)
        new_peak = torch.maximum(peak, scores.amax(dim=-1, keepdim=True))
        weights = scores.sub_(new_peak).exp_()
        shrink = (peak - new_peak).exp_()
        total = total.mul_(shrink).add_(weights.sum(dim=-1, keepdim=True))
        update = (weights.to(value.dtype) @ value).to(peak.dtype)
        result = update if result is None else result.mul_(shrink).add_(update)
        peak = new_peak
    if result is None:
        raise ValueError("patch attention needs at least one level of keys.")
    return result.div_(total)


def _accumulator(tensor: Tensor) -> torch.dtype:
    """Return the type in which sums are kept: at least 32 bits."""
    return torch.promote_types(tensor.dtype, torch.float32)
