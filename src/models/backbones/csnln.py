"""CSNLN (Mei et al., 2020, arXiv:2006.01424): super-resolution by an image's larger patches."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from src.core.memory import MemoryBudget
from src.core.types import AttentionFactory
from src.models.attention.cross_scale import CrossScaleAttention
from src.models.attention.in_scale_non_local import InScaleNonLocalAttention
from src.models.backbones import BACKBONES, Backbone
from src.models.blocks.parts import ResidualBlock, mean_shifts
from src.models.blocks.trunk import attention_site
from src.ops.resize import pad_to_multiple

_GEOMETRY = {2: (6, 2, 2), 3: (9, 3, 3), 4: (8, 4, 2)}
"""Factor to kernel, stride and padding of the authors' weights, with which convolution and
deconvolution are exact inverses in size."""


@BACKBONES.register(paper="Mei et al., 2020, arXiv:2006.01424", cost="O(n²), depth times")
class CSNLN(Backbone):
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
        memory_budget: Bytes that each cross-scale attention may use beside in- and outputs, or
            ``auto``; see CrossScaleAttention.

    Raises:
        ValueError: If ``scale`` is not 2, 3 or 4, or ``depth`` is below 1.
    """

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
        super().__init__(in_channels, out_channels, scale)
        self.depth = depth
        self.checkpoint_recurrences = checkpoint_recurrences
        self.step = 3 if scale == 3 else 2
        self.sub_mean, self.add_mean = mean_shifts(in_channels, out_channels)

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


class SelfExemplarsCell(nn.Module):
    """One recurrence: the state gives features of full size, and these the next state.

    Args:
        channels: Feature channels C.
        scale: Full size over the state's: 2 and 3 take one step, 4 two steps of two.
        fusion: Makes a multi-source projection of the given step.
    """

    def __init__(self, channels: int, *, scale: int, fusion: Callable[[int], nn.Module]) -> None:
        super().__init__()
        steps = {2: (2,), 3: (3,), 4: (2, 2)}[scale]
        factors = (steps[0], scale)
        self.stages = nn.ModuleList(
            BackProjection(channels, enlarge=fusion(step), factor=factor)
            for step, factor in zip(steps, factors, strict=False)
        )
        self.shrink = _strided(nn.Conv2d, scale, channels)
        self.post = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.PReLU())

    def forward(self, state: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Return the features of full size that ``state`` leads to."""
        features = state
        for stage in self.stages:
            features = stage(features, state)
        return features

    def advance(self, features: Float[Tensor, "b c h2 w2"]) -> Float[Tensor, "b c h w"]:
        """Return the next state from the features of full size."""
        state: Tensor = self.post(self.shrink(features))
        return state


class BackProjection(nn.Module):
    """Enlarge features, then correct them by what they miss of the state when shrunk back.

    Args:
        channels: Feature channels C.
        enlarge: Makes the features larger.
        factor: Size of what ``enlarge`` returns over that of the state: 2, 3 or 4.
    """

    def __init__(self, channels: int, *, enlarge: nn.Module, factor: int) -> None:
        super().__init__()
        self.enlarge = enlarge
        self.shrink = _strided(nn.Conv2d, factor, channels)
        self.expand = _strided(nn.ConvTranspose2d, factor, channels)

    def forward(
        self, features: Float[Tensor, "b c h w"], state: Float[Tensor, "b c h1 w1"]
    ) -> Float[Tensor, "b c h2 w2"]:
        """Return enlarged features that agree with ``state``, (B, C, H, W) of the cell."""
        enlarged: Tensor = self.enlarge(features)
        error: Tensor = self.expand(state - self.shrink(enlarged))
        return enlarged + error


class MultiSourceProjection(nn.Module):
    """Enlarge features by in-scale attention, then add what cross-scale attention knows beyond it.

    Args:
        channels: Feature channels C.
        in_scale: Maps (B, C, H, W) to the same shape.
        cross_scale: Maps (B, C, H, W) to (B, C, s·H, s·W).
        scale: s, 2 or 3.
    """

    def __init__(
        self, channels: int, *, in_scale: nn.Module, cross_scale: nn.Module, scale: int
    ) -> None:
        super().__init__()
        self.cross_scale, self.in_scale = cross_scale, in_scale
        self.expand = _strided(nn.ConvTranspose2d, scale, channels)
        self.encoder = ResidualBlock(channels, activation=nn.PReLU())

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Return the fused features, s times as large."""
        near: Tensor = self.expand(self.in_scale(features))
        residue: Tensor = self.encoder(self.cross_scale(features) - near)
        return near + residue


def _strided(layer: type[nn.Conv2d | nn.ConvTranspose2d], factor: int, channels: int) -> nn.Module:
    """Return (de)convolution and PReLU that change the size by ``factor``: 2, 3 or 4."""
    return nn.Sequential(layer(channels, channels, *_GEOMETRY[factor]), nn.PReLU())
