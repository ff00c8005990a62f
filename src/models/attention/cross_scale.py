"""Cross-scale non-local attention (Mei et al., 2020, arXiv:2006.01424), exact."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.core.memory import MemoryBudget, check_budget
from src.models.attention import ATTENTION
from src.models.blocks.parts import embedding
from src.ops.attention.patch_attention import Implementation, patch_attention
from src.ops.resize import interpolate, pad_to_multiple

OVERLAP = 6.0  # the authors' constant; interior pixels receive nine overlapping patches


@ATTENTION.register(paper="Mei et al., 2020, arXiv:2006.01424", cost="O(n²/s²)")
class CrossScaleAttention(nn.Module):
    """Enlarge features by pasting, for each pixel, the s times larger patches it resembles.

    3×3 patches are matched against those of the features shrunk by s; what is pasted is the 3s×3s
    patch of the full-size features that covers the same region. There is no identity path.

    Args:
        channels: Feature channels C; must be a multiple of ``reduction``.
        scale: s, the size of the output over that of the input.
        reduction: Ratio of C to the channels in which patches are compared.
        softmax_scale: Factor on the scores; the keys are normalised, the queries are not.
        memory_budget: Bytes to be used at most beside in- and outputs, in inference and in
            training, or ``auto``: up to an eighth of what is free for ``chunked``, the kernel's
            need for ``native``.
        implementation: ``native`` is the C++ kernel, which keeps no scores; ``chunked`` is PyTorch
            in blocks that fit the budget; ``auto`` takes the kernel where there is one and the
            budget allows; ``dense`` is for export.
        window: Side of the search window in pixels of the features, whose patches a query sees at
            the smaller scale; None sees all. Time and memory are then linear in pixels.

    Raises:
        ValueError: If ``reduction`` does not divide ``channels``, ``scale`` is below 2, or
            ``memory_budget`` is no budget.
    """

    keeps_identity = False
    min_norm: Tensor

    def __init__(
        self,
        channels: int,
        *,
        scale: int = 2,
        reduction: int = 2,
        softmax_scale: float = 10.0,
        memory_budget: MemoryBudget = "auto",
        implementation: Implementation = "auto",
        window: int | None = None,
    ) -> None:
        if channels % reduction:
            raise ValueError(f"channels={channels} is not a multiple of reduction={reduction}.")
        if scale < 2:
            raise ValueError(
                f"scale={scale}: cross-scale attention enlarges by 2 or more; "
                "at one scale use in_scale_non_local or pyramid."
            )
        super().__init__()
        self.scale = self.pads_to = scale
        self.query = embedding(channels, channels // reduction)
        self.key = embedding(channels, channels // reduction)
        self.value = embedding(channels, channels)
        self.register_buffer("min_norm", torch.tensor([1e-4]))
        self.softmax_scale = softmax_scale
        self.memory_budget = check_budget(memory_budget)
        self.implementation: Implementation = implementation
        self.window = window

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Map (B, C, H, W) of any H, W >= 1 to (B, C, s·H, s·W).

        Where s does not divide H or W the features are extended by mirroring and the result cut.
        """
        height, width = features.shape[-2:]
        padded = pad_to_multiple(features, self.scale)
        small = (padded.shape[-2] // self.scale, padded.shape[-1] // self.scale)
        shrunk = interpolate(padded, "bilinear", size=small)
        query, key, value = self.query(padded), self.key(shrunk), self.value(padded)
        enlarged = self._attend(query, key, value)
        return enlarged[..., : height * self.scale, : width * self.scale]

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return patch_attention(
            query,
            [key],
            [value],
            softmax_scale=self.softmax_scale,
            min_norm=self.min_norm,
            scale=self.scale,
            overlap=OVERLAP,
            memory_budget=self.memory_budget,
            implementation=self.implementation,
            window=self.window,
        )
