"""Procedural images, made in memory: for the fastest tests."""

from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from src.core.errors import ConfigError
from src.core.seeding import generator_for
from src.data.depth import Pixels
from src.data.source import ArrayItem, ImageItem


class Synthetic:
    """Colour images of waves under hard-edged discs; the same on every machine of one torch.

    Args:
        count: Number of images.
        size: Side in pixels.
        seed: Chooses the set; two seeds share no image.

    Raises:
        ConfigError: If ``count`` or ``size`` is not positive.
    """

    def __init__(self, *, count: int = 4, size: int = 64, seed: int = 0) -> None:
        if count < 1 or size < 1:
            raise ConfigError(f"count={count} and size={size} must be at least 1.")
        self.count, self.size, self.seed = count, size, seed

    def describe(self) -> str:
        """Return what is made."""
        return f"{self.count} synthetic images of {self.size}×{self.size} px"

    def items(self) -> dict[str, ImageItem]:
        """Return key → image, sorted by key."""
        width = len(str(self.count - 1))
        return {
            f"synthetic_{index:0{width}}": ArrayItem(_draw(self.size, self.seed, index))
            for index in range(self.count)
        }


def _draw(size: int, seed: int, index: int) -> Pixels:
    uniform = partial(torch.rand, generator=generator_for("cpu", "synthetic", seed, index))
    axis = torch.linspace(0, 1, size)
    frequency, phase = uniform(3, 2, 1, 1) * 20, uniform(3, 1, 1) * 6.3
    image = 0.5 + 0.3 * torch.sin(
        frequency[:, 0] * axis.view(1, -1, 1) + frequency[:, 1] * axis.view(1, 1, -1) + phase
    )
    for _ in range(6):
        row, column, radius = uniform(3)
        distance = (axis.view(-1, 1) - row).square() + (axis.view(1, -1) - column).square()
        image = torch.where(distance < (radius / 4) ** 2, uniform(3, 1, 1), image)
    pixels: npt.NDArray[np.uint8] = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return np.ascontiguousarray(pixels)
