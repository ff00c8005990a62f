"""Photographs in the public domain that come with this package: no download."""

from pathlib import Path

from src.core.errors import ConfigError, DataError, did_you_mean
from src.data.source import FileItem, ImageItem

FOLDER = Path(__file__).resolve().parents[1] / "photographs"
"""Where they are, with ORIGIN.md: who made them, and their terms."""

PHOTOS = {
    "train": ("coffee.webp", "raccoon.webp", "rocket.jpg"),
    "val": ("astronaut.webp", "chelsea.webp"),
}


class SamplePhotos:
    """Three photographs to train on, or two others to score; which is which is fixed by name.

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
        return f"the {self.split} photographs of this package"

    def items(self) -> dict[str, ImageItem]:
        """Return key → image file, sorted by key.

        Raises:
            DataError: If the package was installed without them.
        """
        paths = [FOLDER / name for name in PHOTOS[self.split]]
        missing = [path.name for path in paths if not path.is_file()]
        if missing:
            raise DataError(
                f"The sample photographs are not all in {FOLDER}: {', '.join(missing)} missing.\n"
                "  Install this package again, or use your own photographs:  "
                "data=folder data.train_dir=… data.val_dir=…"
            )
        return {path.stem: FileItem(path) for path in paths}
