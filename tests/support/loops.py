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
    """Compute ``fused_pixel_attention`` as it is written down, with its B·n·m scores in memory."""
    scores = (softmax_scale * query).transpose(1, 2) @ key
    wide = torch.promote_types(scores.dtype, torch.float32)
    attention = scores.softmax(dim=-1, dtype=wide).to(value.dtype)
    return value @ attention.transpose(1, 2)
