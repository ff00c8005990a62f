"""The Charbonnier loss (Lai et al., 2017, arXiv:1704.03915, Sec. 3.3)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class CharbonnierLoss(nn.Module):
    """Mean of sqrt(d² + eps²): L1 that is smooth at zero.

    Args:
        eps: Where it turns from a square to a line, in units of intensity in [0, 1].
    """

    def __init__(self, *, eps: float = 1e-3) -> None:
        super().__init__()
        self.eps = eps

    def forward(
        self, restored: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]
    ) -> Float[Tensor, ""]:
        """Return the mean over all numbers."""
        return torch.sqrt((restored - target).square() + self.eps**2).mean()
