"""The few types that layers pass to one another."""

from collections.abc import Callable, Iterable
from typing import Any, NotRequired, Protocol, TypedDict, final, runtime_checkable

import torch
from torch import Tensor, nn


@final
class Clean(TypedDict):
    """A batch of clean images: ``target`` (B, C, H, W) in [0, 1] and one ``key`` an image.

    Whole images also say in ``grey`` (B,) which of them count as grey.
    """

    target: Tensor
    key: list[str]
    grey: NotRequired[Tensor]


@final
class Pair(TypedDict):
    """A batch with the degraded ``input`` (B, C', H/s, W/s) beside its ``target``.

    ``level`` (B,) is there where noise of a level was drawn for each image: σ in [0, 1].
    """

    input: Tensor
    target: Tensor
    key: list[str]
    level: NotRequired[Tensor]


AttentionFactory = Callable[[int], nn.Module]
"""Takes ``channels``; builds a block that maps (B, C, H, W) to (B, C, scale·H, scale·W) for any
H, W >= 1, where the block's attribute ``scale`` is 1 for all but cross-scale attention. A block
that extends sides to a multiple inside says which by ``pads_to``, and one whose work is cut into
pieces by the size says so by ``follows_size = True``; export makes use of both."""

OptimizerFactory = Callable[
    [Iterable[nn.Parameter] | Iterable[dict[str, Any]]], torch.optim.Optimizer
]
SchedulerFactory = Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]
PlainConfig = dict[str, Any]


@runtime_checkable
class RestorationNet(Protocol):
    """What every user of a backbone may rely on; proven for each by one contract test."""

    scale: int  # output size over input size, per axis
    in_channels: int  # image channels expected
    out_channels: int  # image channels returned
    multiple_of: int  # H and W must be multiples of this; callers pad and crop
    min_size: int  # smallest H or W accepted after padding
    # Whether a pixel may depend on all others, so that tiling changes the result.
    global_context: bool

    def __call__(self, degraded: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, scale·H, scale·W)."""
        ...
