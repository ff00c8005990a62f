"""Subtraction and addition of DIV2K's mean colour (Lim et al., 2017, arXiv:1707.02921)."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


class MeanShift(nn.Module):
    """A frozen 1×1 convolution that adds ``sign`` times DIV2K's mean RGB, for images in [0, 1]."""

    def __init__(self, sign: Literal[-1, 1]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(3).view(3, 3, 1, 1), requires_grad=False)
        self.bias = nn.Parameter(sign * torch.tensor(DIV2K_MEAN), requires_grad=False)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Shift ``image``."""
        return nn.functional.conv2d(image, self.weight, self.bias)
