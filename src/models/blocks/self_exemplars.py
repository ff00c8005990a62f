"""The self-exemplars mining cell of CSNLN (Mei et al., 2020, arXiv:2006.01424)."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from src.models.blocks.strided import expand, shrink


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
        self.shrink = shrink(factor, channels)
        self.expand = expand(factor, channels)

    def forward(
        self, features: Float[Tensor, "b c h w"], state: Float[Tensor, "b c h1 w1"]
    ) -> Float[Tensor, "b c h2 w2"]:
        """Return enlarged features that agree with ``state``, (B, C, H, W) of the cell."""
        enlarged: Tensor = self.enlarge(features)
        error: Tensor = self.expand(state - self.shrink(enlarged))
        return enlarged + error


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
        self.shrink = shrink(scale, channels)
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
