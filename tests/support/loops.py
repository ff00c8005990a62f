"""What comparisons of a block with a plain loop begin with, and attention written out."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


def ready(block: nn.Module) -> nn.Module:
    """Return the block in doubles, with no parameter at a special value."""
    for parameter in block.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return block.double().requires_grad_(requires_grad=False)


def image(channels: int, height: int, width: int) -> Tensor:
    return torch.randn(2, channels, height, width, dtype=torch.float64)


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
