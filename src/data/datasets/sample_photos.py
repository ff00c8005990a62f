"""Photographs that come with scikit-image: no download.

Of its colour images two are left out: ``hubble_deep_field`` (91 % of its 48-px patches are nearly
black, its grain is the strongest of all: σ ≈ 3.2) and ``retina`` (a fifth of its patches are flat,
the rest nearly so; it would be the largest image).
"""

import importlib.util
from pathlib import Path

from src.core.errors import ConfigError, DataError, did_you_mean
from src.data.source import FileItem, ImageItem

PHOTOS = {
    "train": ("coffee.png", "ihc.png", "motorcycle_left.png", "motorcycle_right.png", "rocket.jpg"),
    "val": ("astronaut.png", "chelsea.png"),
}


class SamplePhotos:
    """Five photographs to train on, or two others to score; which is which is fixed by name.

    Args:
        split: ``train`` or ``val``.

    Raises:
        ConfigError: For another split.
    """

    def __init__(self, split: str) -> None:
        if split not in PHOTOS:
            raise ConfigError(f"split={split!r} is unknown. {did_you_mean(split, PHOTOS)}")
        self.split = split

    def describe(self) -> str:
        """Return where the photographs come from."""
        return f"the {self.split} photographs of scikit-image"

    def items(self) -> dict[str, ImageItem]:
        """Return key → image file, sorted by key.

        Raises:
            DataError: If scikit-image is not installed as its wheel ships it.
        """
        folder = _installed_folder()
        paths = [folder / name for name in PHOTOS[self.split]]
        missing = [path.name for path in paths if not path.is_file()]
        if missing:
            raise DataError(
                f"scikit-image's photographs are not all in {folder}: {', '.join(missing)} missing."
                "\n  Install it again:  pip install --force-reinstall --no-deps scikit-image\n"
                "  or use your own:   data=folder data.train_dir=… data.val_dir=…"
            )
        return {path.stem: FileItem(path) for path in paths}


def _installed_folder() -> Path:
    # The package is found, not imported: that would take scipy and half a second.
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise DataError(
            "data=sample_photos needs scikit-image, which is not installed.\n"
            "  Install it:  pip install scikit-image"
        )
    return Path(spec.origin).parent / "data"
