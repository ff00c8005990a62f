"""Whole images through a network: padding, tiles and self-ensemble in one place."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.core.errors import ConfigError
from src.core.heap import given_back_at_once
from src.core.types import RestorationNet
from src.inference.choice import SMALL, Choice, automatic, whole
from src.inference.ensemble import self_ensemble
from src.inference.paper_tiles import LEAST_PIXELS, PaperRule, restore_quartered
from src.inference.tiling import restore_tiled


@dataclass(frozen=True)
class InferencePolicy:
    """How whole images go through a network; part of every record, because it moves scores.

    Attributes:
        tile: Side in input pixels; None restores the whole image at once; ``auto`` does so where it
            fits into the memory that is free and does not take very long, else uses tiles.
        overlap: Input pixels that neighbouring tiles share at least.
        ensemble: Whether the mean over the eight flips and transposes is taken.
        tiling: ``feathered`` blends overlapping tiles of ``tile`` pixels; ``paper`` quarters every
            image as the papers did for all their numbers, and ``tile`` and ``overlap`` do nothing.
        paper_pixels: With ``paper``, a piece of fewer pixels is not quartered again.
        paper_rule: With ``paper``, whose sizes of pieces where the scale is not 1.

    Raises:
        ConfigError: If a tile is not larger than the overlap, or pieces would never be small.
    """

    tile: int | Literal["auto"] | None = "auto"
    overlap: int = 16
    ensemble: bool = False
    tiling: Literal["feathered", "paper"] = "feathered"
    paper_pixels: int = 6400
    paper_rule: PaperRule = "panet"

    def __post_init__(self) -> None:
        too_small = isinstance(self.tile, int) and self.tile <= self.overlap
        if self.overlap < 0 or too_small:
            raise ConfigError(
                f"inference.tile={self.tile} with inference.overlap={self.overlap} is not "
                "possible: the overlap must be at least 0 and below the tile, e.g. 16 and 96; "
                "inference.tile=null restores the whole image at once."
            )
        if self.paper_pixels < LEAST_PIXELS:
            raise ConfigError(
                f"inference.paper_pixels={self.paper_pixels} is not possible: with their margins "
                f"pieces never have fewer than {LEAST_PIXELS}; the papers took 6800, 6400 and 3600."
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, for records."""
        return asdict(self)

    def choose(self, net: nn.Module, shape: Sequence[int], device: torch.device) -> Choice:
        """Return how an image of (B, C, H, W) goes through ``net``, tracing it where that decides.

        Meant for ``tiling=feathered``.
        """
        side = max(shape[-2:])
        if isinstance(self.tile, int):
            return Choice(self.tile if side > self.tile else None)
        if side <= SMALL:
            return Choice(None)
        if self.tile is None:
            return whole(net, shape, device)
        return automatic(net, shape, device, above=self.overlap)


class Restorer:
    """Restore images of any size.

    Args:
        net: A network that keeps the backbone contract.
        policy: Tiles and ensemble.

    Attributes:
        choices: What was chosen for each size of image, (H, W), that came along.
    """

    def __init__(self, net: nn.Module, policy: InferencePolicy) -> None:
        self.module = net
        self.net = cast("RestorationNet", net)
        self.policy = policy
        self.choices: dict[tuple[int, int], Choice] = {}

    @torch.no_grad()
    def __call__(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Map (B, in_channels, H, W) in [0, 1] to (B, out_channels, s·H, s·W), not clamped."""
        if self.policy.ensemble:
            return self_ensemble(self._restore, degraded)
        return self._restore(degraded)

    def choice(self, degraded: Tensor) -> Choice:
        """Return how ``degraded`` goes through the network: the same for all of its size."""
        height, width = degraded.shape[-2:]
        if (height, width) not in self.choices:
            padded = _pad(degraded, self.net.multiple_of, self.net.min_size)
            chosen = self.policy.choose(self.module, padded.shape, degraded.device)
            self.choices[height, width] = chosen
        return self.choices[height, width]

    def announce(self, degraded: Tensor) -> str:
        """Return in words how ``degraded`` will go through the network, before it does."""
        chosen = None if self.policy.tiling == "paper" else self.choice(degraded)
        return self._in_words([] if chosen is None else [chosen])

    def describe(self) -> str:
        """Return in words how the images so far went through, the largest need of each way."""
        largest: dict[int | None, Choice] = {}
        for chosen in sorted(self.choices.values(), key=_need):
            largest[chosen.tile] = chosen
        return self._in_words(list(largest.values()))

    def _in_words(self, choices: Sequence[Choice]) -> str:
        policy = self.policy
        way = "; ".join(map(str, choices)) or f"tile={policy.tile}"
        if policy.tiling == "paper":
            way = f"quartered to below {policy.paper_pixels} pixels by {policy.paper_rule}'s rule"
        return f"{way}; mean of 8 turns" if policy.ensemble else way

    def _restore(self, degraded: Tensor) -> Tensor:
        height, width = degraded.shape[-2:]
        scale = self.net.scale
        if self.policy.tiling == "paper":
            pixels, rule = self.policy.paper_pixels, self.policy.paper_rule
            return restore_quartered(_Aligned(self.net), degraded, pixels=pixels, rule=rule)
        tile = self.choice(degraded).tile
        padded = _pad(degraded, self.net.multiple_of, self.net.min_size)
        if tile is None:
            restored = self._whole(padded)
        else:
            tile = -(-tile // self.net.multiple_of) * self.net.multiple_of
            restored = restore_tiled(
                _Aligned(self.net), padded, tile=tile, overlap=self.policy.overlap
            )
        return restored[..., : height * scale, : width * scale]

    def _whole(self, degraded: Tensor) -> Tensor:
        """Restore at once, and large images in no more memory than was told beforehand.

        Small ones and tiles go faster where freed memory is kept.
        """
        if max(degraded.shape[-2:]) <= SMALL:
            return self.net(degraded).float()
        with given_back_at_once():
            return self.net(degraded).float()


def _need(choice: Choice) -> int:
    return 0 if choice.need is None else choice.need.bytes


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
