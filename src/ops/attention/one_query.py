"""The weights of a single query: one row of the softmax, and how it is spread.

Memory is linear in pixels, as the rows of other queries are never made.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.ops.attention.contract import at_least_float32, patch_norms, window_of


def patch_attention_map(
    query: Float[Tensor, "1 k h w"],
    keys: Sequence[Tensor],
    row: int,
    column: int,
    *,
    softmax_scale: float = 10.0,
    min_norm: float | Tensor = 1e-4,
    window: int | None = None,
) -> list[Tensor]:
    """Return how much the patch around one pixel attends to each patch of each level.

    The authors show such maps in Fig. 8 of Mei et al., 2020, arXiv:2004.13824.

    Args:
        query: (1, K, H, W).
        keys: One (1, K, H_s, W_s) a level.
        row: Of the query pixel, 0 to H - 1.
        column: Of the query pixel, 0 to W - 1.
        softmax_scale: Factor on the scores.
        min_norm: Lower bound of a key patch's norm.
        window: Side of the search window in pixels of the query; None sees all.

    Returns:
        One (H_s, W_s) a level; together they sum to 1. Outside of the window they are 0.
    """
    patch = F.pad(at_least_float32(query), (1, 1, 1, 1))[..., row : row + 3, column : column + 3]
    scores = []
    for key in map(at_least_float32, keys):
        norm = patch_norms(key, torch.as_tensor(min_norm).to(key), padding=1)
        products = softmax_scale * F.conv2d(key, patch, padding=1) / norm
        scores.append(_within(products[0, 0], (row, column), query.shape[-2:], window))
    weights = torch.cat([level.flatten() for level in scores]).softmax(dim=0)
    parts = torch.split(weights, [level.numel() for level in scores])
    return [part.view(level.shape) for part, level in zip(parts, scores, strict=True)]


def pixel_attention_map(
    query: Float[Tensor, "1 k h w"],
    key: Float[Tensor, "1 k h2 w2"],
    row: int,
    column: int,
    *,
    softmax_scale: float = 1.0,
    window: int | None = None,
) -> Float[Tensor, "h2 w2"]:
    """Return how much one pixel of ``query`` attends to each pixel of ``key``; the sum is 1.

    Outside of the window, which is that of :func:`patch_attention_map`, weights are 0.
    """
    scores = softmax_scale * query[0, :, row, column] @ key[0].flatten(1)
    level = _within(scores.view(key.shape[-2:]), (row, column), query.shape[-2:], window)
    return at_least_float32(level).flatten().softmax(dim=0).view(level.shape)


def _within(
    scores: Float[Tensor, "h w"], at: tuple[int, int], size: Sequence[int], window: int | None
) -> Float[Tensor, "h w"]:
    """Return the scores with -∞ outside of the query's window."""
    if window is None:
        return scores
    seen = tuple(window_of(*axis, window) for axis in zip(at, size, scores.shape, strict=True))
    hidden = torch.full_like(scores, -torch.inf)
    hidden[seen] = scores[seen]
    return hidden


@dataclass(frozen=True)
class Spread:
    """How the weights of one query, or the mean of several, are spread.

    Attributes:
        keys: How many there are.
        effective_keys: exp of the entropy in nats: n where n keys have equal weights.
        levels: Weight of each level; the sum is 1.
        near: Weight of the keys whose centres are near the query.
        distance: Mean distance of the keys' centres from the query under the weights, in pixels of
            the query.
    """

    keys: float
    effective_keys: float
    levels: tuple[float, ...]
    near: float
    distance: float


def spread(
    levels: Sequence[Tensor], row: int, column: int, size: Sequence[int], *, radius: float
) -> Spread:
    """Return how the weights of one query are spread.

    Args:
        levels: (H_s, W_s) each, from :func:`patch_attention_map`, or ``[pixel_attention_map(…)]``.
        row: Of the query pixel.
        column: Of the query pixel.
        size: (H, W) of the query; a level of (H_s, W_s) covers the same area.
        radius: Up to which distance, in pixels of the query, keys count as near.
    """
    near, distance = 0.0, 0.0
    for level in levels:
        rows, columns = (
            (torch.arange(count, device=level.device) + 0.5) * whole / count - 0.5 - at
            for count, whole, at in zip(level.shape, size, (row, column), strict=True)
        )
        away = torch.hypot(rows[:, None], columns)
        near += float(level[away <= radius].sum())
        distance += float((level * away).sum())
    weights = torch.cat([level.flatten() for level in levels]).double()
    entropy = -torch.xlogy(weights, weights).sum()
    masses = tuple(float(level.sum()) for level in levels)
    return Spread(len(weights), float(entropy.exp()), masses, near, distance)


def mean_spread(spreads: Sequence[Spread]) -> Spread:
    """Return the mean of several of one number of levels; of effective keys the geometric mean.

    Raises:
        ValueError: If there is none.
    """
    if not spreads:
        raise ValueError("there is no query to take the mean of.")
    table = torch.tensor(
        [[one.effective_keys, one.keys, one.near, one.distance, *one.levels] for one in spreads],
        dtype=torch.float64,
    )
    table[:, 0] = table[:, 0].log()
    effective, keys, near, distance, *levels = table.mean(dim=0).tolist()
    return Spread(keys, float(torch.tensor(effective).exp()), tuple(levels), near, distance)
