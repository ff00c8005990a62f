"""Crops of pictures for a page: which part is shown, and how it travels inside the page."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from src.callbacks.image_panels import picture_name
from src.data.image_io import Pixels, read_image
from src.runtime.reporting.records import Record

PARTS = ("input", "restored", "target")
"""What stands in a panel of ``src.evaluate``, from the left; the error is the fourth part."""


@dataclass(frozen=True)
class Window:
    """Part of an image, in pixels from its upper left corner."""

    top: int
    left: int
    height: int
    width: int

    def of(self, image: Pixels) -> Pixels:
        """Return this part of (H, W, 3)."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def read_parts(record: Record, benchmark: str, key: str) -> dict[str, Pixels] | None:
    """Return input, restored and target of an image, (H, W, 3) each; None where none was kept."""
    file: Path = record.folder / "images" / picture_name(benchmark, key)
    if not file.is_file():
        return None
    panel = read_image(file, channels=3)
    width = panel.shape[1] // 4
    return {part: panel[:, index * width : (index + 1) * width] for index, part in enumerate(PARTS)}


def busiest(target: Pixels, side: int) -> Window:
    """Return the square of at most ``side`` pixels with the steepest edges in it.

    A rule that sees only the target, so that no method's best or worst place is picked.
    """
    grey = target.astype(np.float64).mean(axis=2)
    slope = np.zeros_like(grey)
    slope[1:] += np.abs(np.diff(grey, axis=0))
    slope[:, 1:] += np.abs(np.diff(grey, axis=1))
    height, width = (min(side, size) for size in grey.shape)
    table = np.pad(slope.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    sums = (
        table[height:, width:] - table[:-height, width:] - table[height:, :-width]
        + table[:-height, :-width]
    )  # fmt: skip
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return Window(int(top), int(left), height, width)


def data_uri(image: Pixels) -> str:
    """Return an image as a lossless WebP inside a URI: no pixel differs from the file's."""
    held = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(held, "WEBP", lossless=True, method=4)
    return "data:image/webp;base64," + base64.b64encode(held.getvalue()).decode("ascii")
