"""A learned gate, zero at first, in front of any attention block."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.core.types import AttentionFactory
from src.models.attention import ATTENTION
from src.models.attention.cross_scale import CrossScaleAttention
from src.models.blocks.trunk import any_global, attention_site


@ATTENTION.register(paper="after Zhang et al., 2019, arXiv:1805.08318, Eq. 3", cost="the block's")
class GatedAttention(nn.Module):
    """Blend features x with what a block makes of them: x + g·(block(x) - x), g learned.

    g is one number and begins at 0, so that a training begins with the trunk alone and takes in
    attention as far as that pays; at 1 it is the block as published, its identity path included.
    While g is 0 the block's own weights have no gradient, and begin to move a step after it.

    Args:
        channels: Feature channels C, as ``block`` takes them.
        block: What is gated. One that enlarges is brought back to the features' size as in any
            trunk.

    Raises:
        ValueError: If ``block`` refuses ``channels``.
    """

    scale = 1
    identity_if_zero = "gate"

    def __init__(self, channels: int, *, block: AttentionFactory = CrossScaleAttention) -> None:
        super().__init__()
        self.site = attention_site(block, channels)
        self.gate = nn.Parameter(torch.zeros(1))
        self.global_context = any_global([self.site])

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return ``features`` of any H, W that the block takes, as far as the gate is open."""
        attended: Tensor = self.site(features)
        return torch.lerp(features, attended, self.gate.to(attended.dtype))
