"""Strided convolutions that change the size by a whole factor, and their exact counterparts.

Mei et al., 2020, "Image Super-Resolution with Cross-Scale Non-Local Attention", arXiv:2006.01424,
in the kernel sizes of the authors' weights.
"""

from torch import nn

_GEOMETRY = {2: (6, 2, 2), 3: (9, 3, 3), 4: (8, 4, 2)}
"""Factor to kernel, stride and padding, with which both directions are exact inverses in size."""


def shrink(factor: int, channels: int) -> nn.Sequential:
    """Return convolution and PReLU from (B, C, f·H, f·W) to (B, C, H, W), for f of 2, 3 or 4."""
    kernel, stride, padding = _geometry(factor)
    return nn.Sequential(nn.Conv2d(channels, channels, kernel, stride, padding), nn.PReLU())


def expand(factor: int, channels: int) -> nn.Sequential:
    """Return deconvolution and PReLU from (B, C, H, W) to (B, C, f·H, f·W), for f of 2, 3 or 4."""
    kernel, stride, padding = _geometry(factor)
    return nn.Sequential(
        nn.ConvTranspose2d(channels, channels, kernel, stride, padding), nn.PReLU()
    )


def _geometry(factor: int) -> tuple[int, int, int]:
    if factor not in _GEOMETRY:
        raise ValueError(f"factor={factor} is not possible; it must be 2, 3 or 4.")
    return _GEOMETRY[factor]
