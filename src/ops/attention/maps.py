"""Where one pixel looks: its softmax weights over all others, from the plain form of attention.

The authors show such maps in Fig. 8 of Mei et al., 2020, arXiv:2004.13824.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from src.ops.attention.patch_attention import normalise_patches, unfold_patches


def patch_attention_map(
    query: Float[Tensor, "1 k h w"],
    keys: Sequence[Tensor],
    row: int,
    column: int,
    *,
    softmax_scale: float = 10.0,
    min_norm: float | Tensor = 1e-4,
) -> list[Tensor]:
    """Return how much the patch around one pixel attends to each patch of each level.

    Args:
        query: (1, K, H, W).
        keys: One (1, K, H_s, W_s) a level.
        row: Of the query pixel, 0 to H - 1.
        column: Of the query pixel, 0 to W - 1.
        softmax_scale: Factor on the scores.
        min_norm: Lower bound of a key patch's norm.

    Returns:
        One (H_s, W_s) a level; together they sum to 1.
    """
    patch = unfold_patches(query)[0, :, row * query.shape[-1] + column]
    scores = [
        softmax_scale * patch @ normalise_patches(unfold_patches(key), min_norm)[0] for key in keys
    ]
    weights = torch.split(torch.cat(scores).softmax(dim=0), [len(part) for part in scores])
    return [part.view(key.shape[-2:]) for part, key in zip(weights, keys, strict=True)]


def pixel_attention_map(
    query: Float[Tensor, "1 k h w"],
    key: Float[Tensor, "1 k h2 w2"],
    row: int,
    column: int,
    *,
    softmax_scale: float = 1.0,
) -> Float[Tensor, "h2 w2"]:
    """Return how much one pixel attends to each pixel, by dot products; the map sums to 1.

    Args:
        query: (1, K, H, W).
        key: (1, K, H', W').
        row: Of the query pixel.
        column: Of the query pixel.
        softmax_scale: Factor on the scores.
    """
    scores = softmax_scale * query[0, :, row, column] @ key[0].flatten(1)
    return scores.softmax(dim=0).view(key.shape[-2:])
