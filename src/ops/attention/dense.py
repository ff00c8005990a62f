"""Patch attention as the papers' implementations compute it; to compare with, not to use.

Every sample makes convolution kernels of its own: the key patches are the kernels of a convolution
that gives the scores, the value patches those of a transposed convolution that pastes the result
(Mei et al., 2020, arXiv:2004.13824, Sec. 3, and arXiv:2006.01424).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.ops.attention.patch_attention import KERNEL, OVERLAP, normalise_patches, unfold_patches


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
    """Do as ``dense_patch_attention`` does, one sample after another.

    Args:
        query: (B, K, H, W).
        keys: One (B, K, H_s, W_s) a level.
        values: One (B, C, s·H_s, s·W_s) a level.
        softmax_scale: Factor on the scores.
        min_norm: Lower bound of a key patch's norm.
        scale: s, the size of values and output over that of keys and query.
        overlap: What the sum of overlapping patches is divided by.

    Returns:
        (B, C, s·H, s·W).
    """
    key = torch.cat([normalise_patches(unfold_patches(level), min_norm) for level in keys], dim=2)
    value = torch.cat([unfold_patches(level, scale) for level in values], dim=2)
    side = KERNEL * scale
    results = []
    for sample in range(len(query)):
        match = torch.unflatten(key[sample].T, 1, (-1, KERNEL, KERNEL))  # (l, k, 3, 3)
        paste = torch.unflatten(value[sample].T, 1, (-1, side, side))  # (l, c, 3s, 3s)
        scores = F.conv2d(query[sample : sample + 1], match, padding=1)  # (1, l, h, w)
        attention = (softmax_scale * scores).softmax(dim=1)
        results.append(F.conv_transpose2d(attention, paste, stride=scale, padding=scale))
    return torch.cat(results) / overlap
