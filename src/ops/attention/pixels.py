"""Attention between single pixels: softmax of dot products, dense or fused."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


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


def fused_pixel_attention(
    query: Float[Tensor, "b k n"],
    key: Float[Tensor, "b k m"],
    value: Float[Tensor, "b c m"],
    *,
    softmax_scale: float = 1.0,
) -> Float[Tensor, "b c n"]:
    """Do as ``dense_pixel_attention`` without ever keeping the scores, in training as well.

    PyTorch's fused attention (Dao et al., 2022, arXiv:2205.14135) recomputes blocks of scores in
    backward. It wants queries, keys and values of one width, so zeros fill up the narrower ones;
    they change no dot product.
    """
    width = max(query.shape[1], value.shape[1])
    attended = F.scaled_dot_product_attention(
        _rows(query, width), _rows(key, width), _rows(value, width), scale=softmax_scale
    )
    # Laid out as it is read: with its odd strides the next convolution would copy it anyway.
    return attended[:, 0, :, : value.shape[1]].transpose(1, 2).contiguous()


def _rows(pixels: Float[Tensor, "b c n"], width: int) -> Float[Tensor, "b 1 n w"]:
    """Return one row a pixel, filled up with zeros to ``width`` numbers."""
    filled = F.pad(pixels.transpose(1, 2), (0, width - pixels.shape[1]))
    return filled.unsqueeze(1).contiguous()  # else PyTorch falls back to keeping the scores
