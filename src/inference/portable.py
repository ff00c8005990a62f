"""A network as it leaves the project: any size of image, and no operator of our own."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from src.core.types import RestorationNet
from src.ops.resize import cut, mirror_to_multiple

LEAST = 16
"""Sides below this many pixels are not promised: tracing takes larger ones for granted."""


class PortableNet(nn.Module):
    """A network with its padding inside, so that whoever runs it needs to know no multiple.

    Args:
        net: A network that keeps the backbone contract.
        multiple: Sides are extended by mirroring up to multiples of this, and cut again.

    Attributes:
        least: Smallest height or width that is promised to work, in pixels.
    """

    def __init__(self, net: nn.Module, multiple: int) -> None:
        super().__init__()
        self.net = net
        self.eval()
        contract = cast("RestorationNet", net)
        self.scale, self.multiple = contract.scale, multiple
        self.in_channels, self.out_channels = contract.in_channels, contract.out_channels
        # A trace takes it for granted that no side is one pixel at the coarsest level.
        self.least = max(LEAST, contract.min_size, multiple + 1)

    def forward(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Map (B, in_channels, H, W) in [0, 1] to (B, out_channels, s·H, s·W), not clamped."""
        height, width = degraded.shape[-2:]
        restored: Tensor = self.net(mirror_to_multiple(degraded, self.multiple))
        return cut(restored, height * self.scale, width * self.scale)


def multiples(net: nn.Module) -> Sequence[int]:
    """Return multiples to try: at such sizes no block inside pads, and one trace does for all.

    The first is enough where attention sees the image's own resolution; the second also where it
    sees a smaller one.
    """
    own = cast("RestorationNet", net).multiple_of
    inside = math.lcm(*(int(getattr(module, "pads_to", 1)) for module in net.modules()))
    return sorted({math.lcm(own, inside), own * inside})


@contextmanager
def dense_attention(net: nn.Module) -> Iterator[None]:
    """Let patch attention run in its dense form, which other programs know, and then as before."""
    blocks = [module for module in net.modules() if hasattr(module, "implementation")]
    before = [block.implementation for block in blocks]
    for block in blocks:
        block.implementation = "dense"  # type: ignore[assignment]
    try:
        yield
    finally:
        for block, implementation in zip(blocks, before, strict=True):
            block.implementation = implementation
