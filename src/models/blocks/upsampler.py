"""The sub-pixel upsampler of EDSR (Lim et al., 2017, arXiv:1707.02921)."""

from torch import nn


def upsampler(scale: int, channels: int) -> nn.Sequential:
    """Return convolutions and pixel shuffles that enlarge (B, C, H, W) to (B, C, s·H, s·W).

    Scales 2, 4, 8 are one, two, three steps of two; scale 3 is one step. There is no activation
    (Shi et al., 2016, arXiv:1609.05158). At scale 1 it is empty.

    Args:
        scale: 1, 2, 3, 4 or 8.
        channels: Feature channels C.

    Raises:
        ValueError: If ``scale`` is none of these.
    """
    steps = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
    if scale not in steps:
        raise ValueError(f"scale={scale} has no upsampler; it must be one of 1, 2, 3, 4, 8.")
    parts: list[nn.Module] = []
    for step in steps[scale]:
        parts += [
            nn.Conv2d(channels, channels * step**2, kernel_size=3, padding=1),
            nn.PixelShuffle(step),
        ]
    return nn.Sequential(*parts)
