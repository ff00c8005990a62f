"""What a data set is to the rest of the house: named clean images."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from src.core.errors import DataError
from src.core.paths import shown
from src.data.image_io import Grey, Pixels, read_image, with_channels


@runtime_checkable
class ImageItem(Protocol):
    """One clean image that can be had again and again; picklable, for loader processes."""

    def load(self, channels: int) -> Pixels:
        """Return uint8 (H, W, ``channels``), read-only where it is a view of a file."""
        ...


@dataclass(frozen=True)
class FileItem:
    """An image file, decoded at each call.

    Attributes:
        path: The file.
        grey: What counts as grey, where one channel is asked for.
    """

    path: Path
    grey: Grey = "content"

    def load(self, channels: int) -> Pixels:
        """Return the decoded file; ImageFileError if it cannot be used."""
        return read_image(self.path, channels=channels, grey=self.grey)


@dataclass(frozen=True)
class ArrayItem:
    """An image held in memory.

    Attributes:
        pixels: uint8 (H, W, 1 or 3).
    """

    pixels: Pixels

    def load(self, channels: int) -> Pixels:
        """Return the array, converted where ``channels`` differs."""
        return with_channels(self.pixels, channels)


@runtime_checkable
class ImageSource(Protocol):
    """A set of clean images, each under a key that is unique in the set."""

    def items(self) -> dict[str, ImageItem]:
        """Return key → image, sorted by key; DataError if there is none."""
        ...

    def describe(self) -> str:
        """Return a few words for messages, e.g. "images under photos/"."""
        ...


def unique_keys(paths: Iterable[Path], root: Path) -> dict[str, Path]:
    """Return key → path, sorted by key, for files below ``root``.

    A key is the file's stem; files that share one get their sub-folder before it and, where that
    is not enough, their extension behind it, joined so that a key can always name a file:
    ``a/1.png`` and ``b/1.png`` are ``a__1`` and ``b__1``.

    Raises:
        DataError: If two files still share a key; no file is silently lost.
    """
    keyed: dict[str, Path] = {}
    open_paths = sorted(paths)
    for name in (_stem, _folder_and_stem, _folder_and_name):
        names = {path: name(path.relative_to(root)) for path in open_paths}
        count = Counter(names.values()) + Counter(keyed.keys())
        keyed |= {names[path]: path for path in open_paths if count[names[path]] == 1}
        open_paths = [path for path in open_paths if count[names[path]] > 1]
    if open_paths:
        raise DataError(
            f"These files would share a name: {', '.join(map(str, open_paths))}.\n"
            "  Rename one, so that results can be told apart."
        )
    return dict(sorted(keyed.items()))


Namer = Callable[[Path], str]


def _stem(path: Path) -> str:
    return _normal(path.stem)


def _folder_and_stem(path: Path) -> str:
    return _normal("__".join(path.with_suffix("").parts))


def _folder_and_name(path: Path) -> str:
    return _normal("__".join(path.parts))


def _normal(text: str) -> str:
    # macOS stores é as two characters; keys seed the noise and must not depend on the machine.
    # A byte that is not UTF-8 is escaped: keys stand in tables, records and names of pictures.
    return unicodedata.normalize("NFC", shown(text))
