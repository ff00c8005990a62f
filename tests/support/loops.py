"""What comparisons of a block with a plain loop begin with."""

import torch
from torch import Tensor, nn


def ready(block: nn.Module) -> nn.Module:
    """Return the block in doubles, with no parameter at a special value."""
    for parameter in block.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return block.double().requires_grad_(requires_grad=False)


def image(channels: int, height: int, width: int) -> Tensor:
    return torch.randn(2, channels, height, width, dtype=torch.float64)
