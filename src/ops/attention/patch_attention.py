"""Patch attention: 3×3 patches are matched, and 3s×3s patches are pasted.

At s = 1 pyramid attention (Mei et al., 2020, arXiv:2004.13824, Sec. 3), at s > 1 cross-scale
attention (Mei et al., 2020, arXiv:2006.01424); the arithmetic is that of the authors'
implementations. Every query patch is compared with every key patch of every level at once, so the
plain form here holds a score for each pair of pixels; ``chunked_patch_attention`` gives the same
result within a memory budget.
"""

from collections.abc import Sequence

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
    norm = patches.to(accumulator(patches)).norm(dim=1, keepdim=True)
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
    attention = scores.softmax(dim=-1, dtype=accumulator(scores)).to(value.dtype)
    pasted = value @ attention.transpose(1, 2)
    return paste_patches(pasted, height, width, scale=scale, overlap=overlap)


def accumulator(tensor: Tensor) -> torch.dtype:
    """Return the type in which sums are kept: at least 32 bits."""
    return torch.promote_types(tensor.dtype, torch.float32)
