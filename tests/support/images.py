"""Writes small real image files for tests."""

from pathlib import Path

import numpy as np
from PIL import Image

from src.data.image_io import Pixels


def pixels(height: int = 20, width: int = 24, channels: int = 3, *, seed: int = 0) -> Pixels:
    """Return random uint8 (height, width, channels); H != W on purpose."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (height, width, channels), dtype=np.uint8)


def write(path: Path, image: Pixels) -> Path:
    """Write ``image`` in the format of the extension and return the path; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(path)
    return path


def write_folder(
    folder: Path, count: int = 3, *, height: int = 20, width: int = 24, seed: int = 0
) -> Path:
    """Write ``count`` different PNG files a.png, b.png, … and return the folder."""
    for index in range(count):
        name = f"{chr(ord('a') + index)}.png"
        write(folder / name, pixels(height, width, seed=seed * 1000 + index))
    return folder
