"""Pyramid attention (Mei et al., 2020, arXiv:2004.13824, Sec. 3.2), exact to their weights."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.core.memory import MemoryBudget, check_budget
from src.models.attention import ATTENTION
from src.models.blocks.parts import embedding
from src.ops.attention.patch_attention import Implementation, patch_attention
from src.ops.resize import interpolate

Resampling = Literal["size_ratio", "scale_factor"]
MATCH_CHANNELS = 32


@ATTENTION.register(paper="Mei et al., 2020, arXiv:2004.13824", cost="O(n²)")
class PyramidAttention(nn.Module):
    """Replace each patch by a mean over similar patches at several scales, plus itself.

    Level i is the features shrunk to 1 - i/10 of their size; queries of the full size attend to
    the patches of all levels in one softmax.

    Args:
        channels: Feature channels C; must be a multiple of ``reduction``.
        levels: Number of scales, 1 to 9.
        reduction: Ratio of C to the channels in which patches are compared. None compares in
            32, as both published networks do (2 in PANet's 64 channels, 8 in PA-EDSR's 256), and
            in half of C where C is no multiple of 32 or below 64.
        softmax_scale: Factor on the scores; the keys are normalised, the queries are not.
        residual_scale: Factor on the *identity*, as in the authors' code, where it is that of the
            trunk's residual blocks (1 in PANet, 0.1 in PA-EDSR); the attention term itself is
            never scaled.
        resampling: ``size_ratio`` maps coordinates by H / floor(H·s) as torch 1.1 did, with which
            the published weights were made; ``scale_factor`` by 1 / s, the default of later torch.
        memory_budget: Bytes to be used at most beside in- and outputs, in inference and in
            training, or ``auto``: up to an eighth of what is free for ``chunked``, the kernel's
            need for ``native``.
        implementation: ``native`` is the C++ kernel, which keeps no scores; ``chunked`` is PyTorch
            in blocks that fit the budget; ``auto`` takes the kernel where there is one and the
            budget allows; ``dense`` is for export.

    Raises:
        ValueError: If ``reduction`` does not divide ``channels``, ``levels`` is out of range, or
            ``memory_budget`` is no budget.
    """

    scale = 1
    min_norm: Tensor
    window: int | None = None  # set by inference.window; None: every patch is seen

    def __init__(
        self,
        channels: int,
        *,
        levels: int = 5,
        reduction: int | None = None,
        softmax_scale: float = 10.0,
        residual_scale: float = 1.0,
        resampling: Resampling = "size_ratio",
        memory_budget: MemoryBudget = "auto",
        implementation: Implementation = "auto",
    ) -> None:
        if reduction is None:
            reduction = max(2, channels // MATCH_CHANNELS) if channels % MATCH_CHANNELS == 0 else 2
        if channels % reduction:
            raise ValueError(f"channels={channels} is not a multiple of reduction={reduction}.")
        if not 1 <= levels <= 9:
            raise ValueError(f"levels must be 1 to 9 (scales 1 to 0.2), not {levels}.")
        super().__init__()
        self.query = embedding(channels, channels // reduction)
        self.key = embedding(channels, channels // reduction)
        self.value = embedding(channels, channels)
        self.register_buffer("min_norm", torch.tensor([1e-4]))
        # Exactly these expressions: 1 - 8/10 and 2/10 are different doubles, and sizes see it.
        self.scales = tuple(1 - i / 10 for i in range(levels))
        self.softmax_scale = softmax_scale
        self.residual_scale = residual_scale
        self.identity_if_zero = "value" if residual_scale == 1 else None
        self.resampling = resampling
        self.memory_budget = check_budget(memory_budget)
        self.implementation: Implementation = implementation

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Attend over all scales of ``features``, of any H, W >= 1."""
        query = self.query(features)
        levels = [self._shrink(features, scale) for scale in self.scales]
        keys = [self.key(level) for level in levels]
        values = [self.value(level) for level in levels]
        attended = patch_attention(
            query,
            keys,
            values,
            softmax_scale=self.softmax_scale,
            min_norm=self.min_norm,
            memory_budget=self.memory_budget,
            implementation=self.implementation,
            window=self.window,
        )
        return attended + self.residual_scale * features

    def _shrink(self, features: Tensor, scale: float) -> Tensor:
        """Resample by bicubic interpolation (a = -0.75, no antialiasing) to floor(size · scale)."""
        if scale == 1:  # asked of the scale, not of sizes, which are unknown while traced for all
            return features
        height, width = features.shape[-2:]
        # trunc, which is floor here, because exported programs know it
        size = (max(1, math.trunc(height * scale)), max(1, math.trunc(width * scale)))
        if self.resampling == "size_ratio" or min(height, width) * scale < 1:
            return interpolate(features, "bicubic", size=size)
        return interpolate(features, "bicubic", scale=scale)
