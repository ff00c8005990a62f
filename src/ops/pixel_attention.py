"""Attention between single pixels: softmax of dot products, plain or within a memory budget."""

import torch
from jaxtyping import Float
from torch import Tensor


def dense_pixel_attention(
    query: Float[Tensor, "b k n"],
    key: Float[Tensor, "b k m"],
    value: Float[Tensor, "b c m"],
    *,
    softmax_scale: float = 1.0,
) -> Float[Tensor, "b c n"]:
    """Return for each of n pixels the mean of ``value`` under softmax(scale·query·key).

    Args:
        query: (B, K, n), pixels flattened.
        key: (B, K, m).
        value: (B, C, m).
        softmax_scale: Factor on the dot products; 1 is the embedded Gaussian of Wang et al., 2018,
            arXiv:1711.07971, Eq. 4.

    Returns:
        (B, C, n); memory B·n·m scores.
    """
    scores = (softmax_scale * query).transpose(1, 2) @ key
    wide = torch.promote_types(scores.dtype, torch.float32)
    attention = scores.softmax(dim=-1, dtype=wide).to(value.dtype)
    return value @ attention.transpose(1, 2)


def chunked_pixel_attention(
    query: Float[Tensor, "b k n"],
    key: Float[Tensor, "b k m"],
    value: Float[Tensor, "b c m"],
    *,
    softmax_scale: float = 1.0,
    memory_budget: int = 2**28,
) -> Float[Tensor, "b c n"]:
    """Do as ``dense_pixel_attention``, with at most ``memory_budget`` bytes of scores at once.

    One query pixel against all keys is the least that it works with. Not for autograd.
    """
    batch, pixels = query.shape[0], query.shape[2]
    a_query = 4 * batch * (3 * key.shape[2] + value.shape[1])  # scores, softmax, cast; result
    block = max(1, memory_budget // a_query)
    output = value.new_empty(batch, value.shape[1], pixels)
    for start in range(0, pixels, block):
        part = query[:, :, start : start + block]
        output[:, :, start : start + block] = dense_pixel_attention(
            part, key, value, softmax_scale=softmax_scale
        )
    return output
