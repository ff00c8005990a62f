"""CSNLN (Mei et al., 2020, arXiv:2006.01424): super-resolution by an image's larger patches."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from src.core.memory import MemoryBudget
from src.core.types import AttentionFactory
from src.models.attention.cross_scale import CrossScaleAttention
from src.models.attention.in_scale_non_local import InScaleNonLocalAttention
from src.models.backbones import BACKBONES
from src.models.blocks.attention_site import attention_site
from src.models.blocks.mean_shift import MeanShift
from src.models.blocks.multi_source import MultiSourceProjection
from src.models.blocks.self_exemplars import SelfExemplarsCell
from src.ops.padding import pad_to_multiple


@BACKBONES.register(paper="Mei et al., 2020, arXiv:2006.01424", cost="O(n²), depth times")
class CSNLN(nn.Module):
    """Restore an image 2, 3 or 4 times as large; the defaults are the published network.

    One cell of self-exemplars mining runs ``depth`` times with the same weights; the features of
    all recurrences make the image. Any H, W >= 1 is taken: the image is extended by mirroring to a
    multiple of the cell's step, and the result is cut.

    Args:
        in_channels: Image channels expected.
        out_channels: Image channels returned.
        scale: Output size over input size: 2, 3 or 4.
        channels: Feature channels C.
        depth: Recurrences; the last convolution is ``depth`` · C wide, so weights fix the depth.
        attention: Builds the in-scale attention from ``channels``; the cross-scale one, which
            is what this network is, stays.
        checkpoint_recurrences: Whether training keeps only each recurrence's input and computes
            the rest again, for about a third more time and a ``depth``-th of the memory.
        memory_budget: Bytes that each cross-scale attention may hold beside in- and outputs, or
            ``auto``; see CrossScaleAttention.

    Raises:
        ValueError: If ``scale`` is not 2, 3 or 4, or ``depth`` is below 1.
    """

    multiple_of = 1
    min_size = 1
    global_context = True

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        scale: int = 2,
        *,
        channels: int = 128,
        depth: int = 12,
        attention: AttentionFactory = InScaleNonLocalAttention,
        checkpoint_recurrences: bool = False,
        memory_budget: MemoryBudget = "auto",
    ) -> None:
        if scale not in {2, 3, 4}:
            raise ValueError(
                f"CSNLN needs scale 2, 3 or 4, not {scale}: it looks for patches of the image that "
                "are larger than what they stand for. Take task=super_resolution, or another model."
            )
        if depth < 1:
            raise ValueError(f"depth={depth} is not possible; CSNLN needs 1 recurrence or more.")
        super().__init__()
        self.in_channels, self.out_channels, self.scale = in_channels, out_channels, scale
        self.depth = depth
        self.checkpoint_recurrences = checkpoint_recurrences
        self.step = 3 if scale == 3 else 2
        colour = in_channels == out_channels == 3
        self.sub_mean = MeanShift(-1) if colour else nn.Identity()
        self.add_mean = MeanShift(1) if colour else nn.Identity()

        def fusion(step: int) -> MultiSourceProjection:
            return MultiSourceProjection(
                channels,
                # The fusion joins what the attention finds; an identity would change its meaning.
                in_scale=attention_site(attention, channels, identity=False),
                cross_scale=CrossScaleAttention(channels, scale=step, memory_budget=memory_budget),
                scale=step,
            )

        self.head = nn.Sequential(
            nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1), nn.PReLU()),
            nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.PReLU()),
        )
        self.cell = SelfExemplarsCell(channels, scale=scale, fusion=fusion)
        self.tail = nn.Conv2d(channels * depth, out_channels, kernel_size=3, padding=1)

    def forward(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Restore ``degraded``, in [0, 1]; the result is not clamped."""
        height, width = degraded.shape[-2:]
        padded = pad_to_multiple(degraded, self.step)
        state: Tensor = self.head(self.sub_mean(padded))
        mined: list[Tensor] = []
        for recurrence in range(self.depth):
            if recurrence:
                state = self.cell.advance(mined[-1])
            mined.append(self._mine(state))
        restored: Tensor = self.add_mean(self.tail(torch.cat(mined, dim=1)))
        return restored[..., : height * self.scale, : width * self.scale]

    def _mine(self, state: Tensor) -> Tensor:
        if self.checkpoint_recurrences and torch.is_grad_enabled():
            recomputed: Tensor = checkpoint(self.cell, state, use_reentrant=False)
            return recomputed
        features: Tensor = self.cell(state)
        return features
