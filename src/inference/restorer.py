"""Whole images through a network: padding, tiles and self-ensemble in one place."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.core.errors import ConfigError
from src.core.types import RestorationNet
from src.inference.ensemble import self_ensemble
from src.inference.tiling import restore_tiled

AUTO_WHOLE = 128
AUTO_TILE = 96


@dataclass(frozen=True)
class InferencePolicy:
    """How whole images go through a network; part of every record, because it moves scores.

    Attributes:
        tile: Side in input pixels; None restores the whole image at once; ``auto`` does so up to
            128 pixels and for networks without global attention, else uses 96-pixel tiles.
        overlap: Input pixels that neighbouring tiles share at least.
        ensemble: Whether the mean over the eight flips and transposes is taken.

    Raises:
        ConfigError: If a tile is not larger than the overlap.
    """

    tile: int | Literal["auto"] | None = "auto"
    overlap: int = 16
    ensemble: bool = False

    def __post_init__(self) -> None:
        tile = AUTO_TILE if self.tile == "auto" else self.tile
        if self.overlap < 0 or (tile is not None and tile <= self.overlap):
            raise ConfigError(
                f"inference.tile={self.tile} with inference.overlap={self.overlap} is not "
                "possible: the overlap must be at least 0 and below the tile, e.g. 16 and 96; "
                "inference.tile=null restores the whole image at once."
            )

    def tile_for(self, net: RestorationNet, height: int, width: int) -> int | None:
        """Return the side of the tiles for an image, or None for the whole at once."""
        tile = self.tile
        if tile == "auto":
            whole = max(height, width) <= AUTO_WHOLE or not net.global_context
            tile = None if whole else AUTO_TILE
        return tile if tile is not None and max(height, width) > tile else None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, for records."""
        return asdict(self)


class Restorer:
    """Restore images of any size.

    Args:
        net: A network that keeps the backbone contract.
        policy: Tiles and ensemble.
    """

    def __init__(self, net: nn.Module, policy: InferencePolicy) -> None:
        self.module = net
        self.net = cast("RestorationNet", net)
        self.policy = policy

    @torch.no_grad()
    def __call__(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Map (B, in_channels, H, W) in [0, 1] to (B, out_channels, s·H, s·W), not clamped."""
        if self.policy.ensemble:
            return self_ensemble(self._restore, degraded)
        return self._restore(degraded)

    def _restore(self, degraded: Tensor) -> Tensor:
        height, width = degraded.shape[-2:]
        tile = self.policy.tile_for(self.net, height, width)
        padded = _pad(degraded, self.net.multiple_of, self.net.min_size)
        if tile is None:
            restored = self.net(padded).float()
        else:
            tile = -(-tile // self.net.multiple_of) * self.net.multiple_of
            restored = restore_tiled(
                _Aligned(self.net), padded, tile=tile, overlap=self.policy.overlap
            )
        scale = self.net.scale
        return restored[..., : height * scale, : width * scale]


class _Aligned:
    """A network whose tiles are padded to the multiple that it needs and cropped again."""

    def __init__(self, net: RestorationNet) -> None:
        self.net = net
        self.scale, self.out_channels = net.scale, net.out_channels
        self.in_channels, self.global_context = net.in_channels, net.global_context
        self.multiple_of = self.min_size = 1

    def __call__(self, degraded: Tensor) -> Tensor:
        height, width = degraded.shape[-2:]
        padded = _pad(degraded, self.net.multiple_of, self.net.min_size)
        restored = self.net(padded).float()
        return restored[..., : height * self.scale, : width * self.scale]


def _pad(image: Tensor, multiple_of: int, min_size: int) -> Tensor:
    """Extend the bottom and right by mirroring up to a multiple; by repetition where too small."""
    bottom, right = (
        -(-max(size, min_size) // multiple_of) * multiple_of - size for size in image.shape[-2:]
    )
    if not bottom and not right:
        return image
    mirror = bottom < image.shape[-2] and right < image.shape[-1]
    return F.pad(image, (0, right, 0, bottom), mode="reflect" if mirror else "replicate")
