"""No degradation: for pairs that are degraded already, and to test what else a task does."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Identity(nn.Module):
    """Return the clean image itself."""

    def forward(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Return ``clean``; nothing is drawn."""
        return clean
