"""Whole images through a network: noise level, padding, tiles and self-ensemble in one place."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.core.errors import ConfigError
from src.core.heap import given_back_at_once
from src.core.types import RestorationNet
from src.inference.choice import SMALL, Calls, Choice, choose
from src.inference.policy import InferencePolicy
from src.inference.precision import Precision
from src.inference.tiling import (
    quarters,
    restore_quartered,
    restore_tiled,
    self_ensemble,
    tile_starts,
)
from src.models.attention.cross_scale import CrossScaleAttention
from src.models.attention.in_scale_non_local import InScaleNonLocalAttention
from src.models.attention.pyramid import PyramidAttention
from src.ops.resize import pad_to_multiple

_NOTICED = 0.01
"""Part of an image's work that is said at least at a time."""


class Restorer:
    """Restore images of any size.

    Args:
        net: A network that keeps the backbone contract.
        policy: Tiles and ensemble.
        precision: In which the network computes; float32 where nothing is given.

    Raises:
        ConfigError: If an attribute of the contract is missing, or a window is asked for and the
            network has no attention that takes one.

    Attributes:
        choices: What was chosen for each size of image that came along: its sides, in order.
        pixels: Of the latest image, H·W before enlarging.
        watcher: Called with the part of an image's work that is done, above 0 to 1, after each
            tile, and of large whole images after each hundredth; None: nobody looks on.
    """

    def __init__(
        self, net: nn.Module, policy: InferencePolicy, precision: Precision | None = None
    ) -> None:
        missing = [name for name in RestorationNet.__annotations__ if not hasattr(net, name)]
        if missing:
            raise ConfigError(
                f"{type(net).__name__} has no {', '.join(missing)}, which every network has: let "
                "it inherit src.models.backbones.Backbone, or set them; docs/how-to/extend.md says "
                "what they are."
            )
        self._windowed = [] if policy.window is None else _with_windows(net, policy.window)
        self.module = net
        self.net = cast("RestorationNet", net)
        self.policy = policy
        self.precision = precision or Precision()
        self.choices: dict[tuple[int, int], Choice] = {}
        self.pixels = 0
        self.watcher: Callable[[float], None] | None = None
        self._pieces, self._done, self._said = 1, 0, 0.0

    @torch.no_grad()
    def __call__(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Map (B, in_channels, H, W) in [0, 1] to (B, out_channels, s·H, s·W), not clamped."""
        self.pixels = math.prod(degraded.shape[-2:])
        self._pieces, self._done, self._said = self._count(degraded), 0, 0.0
        with self.in_window():
            self._settle(degraded)
            if self.policy.ensemble:
                return self_ensemble(self._restore, degraded)
            return self._restore(degraded)

    def choice(self, degraded: Tensor) -> Choice:
        """Return how ``degraded`` goes through the network: one for a size, turned or not."""
        short, long = sorted(degraded.shape[-2:])
        if (short, long) not in self.choices:
            shape, policy = fitted(self.net, degraded).shape, self.policy
            with self.in_window():
                self.choices[short, long] = choose(
                    self.module, shape, degraded.device, tile=policy.tile, overlap=policy.overlap
                )
        return self.choices[short, long]

    @contextmanager
    def in_window(self) -> Iterator[None]:
        """Let attention look at the policy's window; training shares the network and does not."""
        before = [block.window for block in self._windowed]
        for block in self._windowed:
            block.window = self.policy.window
        try:
            yield
        finally:
            for block, window in zip(self._windowed, before, strict=True):
                block.window = window

    def tile_of(self, degraded: Tensor) -> int | None:
        """Return the side of the tiles of ``degraded``; None for the whole image, or quarters."""
        return None if self.policy.tiling == "paper" else self.choice(degraded).tile

    def _settle(self, degraded: Tensor) -> None:
        self.precision.settle(_Aligned(self.net, lambda: None, self.precision), degraded)

    @torch.no_grad()
    def announce(self, degraded: Tensor) -> str:
        """Return in words how ``degraded`` will go through the network, before it does."""
        with self.in_window():
            self._settle(degraded)
        return self._in_words([] if self.policy.tiling == "paper" else [self.choice(degraded)])

    def describe(self) -> str:
        """Return in words how the images so far went through, the largest need of each way."""
        by_need = sorted(self.choices.values(), key=lambda one: one.bytes)
        return self._in_words([*{one.tile: one for one in by_need}.values()])

    def _in_words(self, choices: Sequence[Choice]) -> str:
        policy = self.policy
        way = "; ".join(map(str, choices)) or f"tile={policy.tile}"
        if policy.tiling == "paper":
            way = f"quartered to below {policy.paper_pixels} pixels by {policy.paper_rule}'s rule"
        if policy.window is not None:
            way += f"; attention within windows of {policy.window} pixels"
        if policy.ensemble:
            way += "; mean of 8 turns"
        return way if self.precision.asked == "fp32" else f"{way}; {self.precision}"

    def _count(self, degraded: Tensor) -> int:
        """Return the number of passes through the network that an image takes."""
        policy, turns = self.policy, 8 if self.policy.ensemble else 1
        if policy.tiling == "paper":
            height, width = degraded.shape[-2:]
            scale, rule = self.net.scale, policy.paper_rule
            return turns * quarters(height, width, scale, pixels=policy.paper_pixels, rule=rule)
        tile = self.choice(degraded).tile
        if tile is None:
            return turns
        sides = fitted(self.net, degraded).shape[-2:]
        tile = self._aligned(tile)
        return turns * math.prod(len(tile_starts(size, tile, policy.overlap)) for size in sides)

    def _aligned(self, tile: int) -> int:
        return -(-tile // self.net.multiple_of) * self.net.multiple_of

    def _pass_done(self) -> None:
        self._done += 1
        self._say(0.0)

    def _say(self, of_this_pass: float) -> None:
        part = (self._done + of_this_pass) / self._pieces
        if self.watcher is not None and (part >= self._said + _NOTICED or part == 1 != self._said):
            self._said = part
            self.watcher(part)

    def _watched(self, chosen: Choice) -> AbstractContextManager[object]:
        """Return what says, of a large image in one pass, after which call how much is done."""
        need = chosen.need
        if self.watcher is None or need is None or not need.flops:
            return nullcontext()
        parts = iter(need.after)
        return Calls(lambda: self._say(next(parts, need.flops) / need.flops))

    def _restore(self, degraded: Tensor) -> Tensor:
        policy, net = self.policy, _Aligned(self.net, self._pass_done, self.precision)
        if policy.tiling == "paper":
            pixels, rule = policy.paper_pixels, policy.paper_rule
            return restore_quartered(net, degraded, pixels=pixels, rule=rule)
        chosen = self.choice(degraded)
        tile = chosen.tile
        if tile is None:
            # A large image in no more memory than was announced; small ones, and tiles, go faster
            # where freed memory is kept.
            small = max(degraded.shape[-2:]) <= SMALL
            net.watched = self._watched(chosen)
            with nullcontext() if small else given_back_at_once():
                return net(degraded)
        height, width = degraded.shape[-2:]
        padded = fitted(self.net, degraded)
        restored = restore_tiled(net, padded, tile=self._aligned(tile), overlap=policy.overlap)
        return restored[..., : height * net.scale, : width * net.scale]


class _Aligned:
    """A network whose tiles are padded to the multiple that it needs and cropped again."""

    def __init__(self, net: RestorationNet, done: Callable[[], None], precision: Precision) -> None:
        self.net, self.done, self.precision = net, done, precision
        self.watched: AbstractContextManager[object] = nullcontext()
        self.scale, self.out_channels = net.scale, net.out_channels
        self.in_channels, self.global_context = net.in_channels, net.global_context
        self.multiple_of = self.min_size = 1

    def __call__(self, degraded: Tensor) -> Tensor:
        height, width = degraded.shape[-2:]
        padded = fitted(self.net, degraded)
        with self.watched:
            restored = self.precision.run(cast("nn.Module", self.net), padded)
        self.done()
        return restored[..., : height * self.scale, : width * self.scale]


Windowed = PyramidAttention | CrossScaleAttention | InScaleNonLocalAttention


def _with_windows(net: nn.Module, window: int) -> list[Windowed]:
    """Return the blocks of attention that can look at a window instead of the whole image."""
    blocks = [module for module in net.modules() if isinstance(module, Windowed)]
    if not blocks:
        raise ConfigError(
            f"inference.window={window}: {type(net).__name__} has no attention that takes a "
            "window (pyramid, cross_scale and in_scale_non_local do); leave it out."
        )
    return blocks


def fitted(net: RestorationNet, image: Tensor) -> Tensor:
    """Return an image extended at the bottom and the right to a size that the network takes."""
    return pad_to_multiple(image, net.multiple_of, least=net.min_size)


def takes_noise_level(net: RestorationNet) -> bool:
    """Return whether ``net`` takes one channel more than it returns: the noise level (FFDNet)."""
    return net.in_channels == net.out_channels + 1


def with_noise_level(
    noisy: Float[Tensor, "b c h w"], level: float | Float[Tensor, " b"]
) -> Float[Tensor, "b c_and_level h w"]:
    """Return images with one channel more, ``level`` at every pixel: σ for intensities in [0, 1].

    It is one for all, or one for each.

    Zhang et al., 2018, arXiv:1710.04026, Sec. III-B.
    """
    levels = torch.as_tensor(level).to(noisy).reshape(-1, 1, 1, 1)
    return torch.cat([noisy, levels.expand_as(noisy[:, :1])], dim=1)
