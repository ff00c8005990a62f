"""What a data set is to the rest of the house: named clean images; and a folder of them."""

import logging
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable

from src.core.errors import DataError, ExemplarError
from src.core.paths import from_root, shown
from src.data.depth import ARRAY, Pixels
from src.data.image_file import AVIF
from src.data.image_io import Grey, read_image, with_channels

logger = logging.getLogger(__name__)


@runtime_checkable
class ImageItem(Protocol):
    """One clean image that can be had again and again; picklable, for loader processes."""

    def load(self, channels: int) -> Pixels:
        """Return pixels (H, W, ``channels``), read-only where they are a view of a file."""
        ...


@dataclass(frozen=True)
class FileItem:
    """An image file, decoded at each call."""

    path: Path  # the file
    grey: Grey = "content"  # what counts as grey, where one channel is asked for

    def load(self, channels: int) -> Pixels:
        """Return the decoded file; ImageFileError if it cannot be used."""
        return read_image(self.path, channels=channels, grey=self.grey)


@dataclass(frozen=True)
class ArrayItem:
    """An image held in memory."""

    pixels: Pixels  # (H, W, 1 or 3)

    def load(self, channels: int) -> Pixels:
        """Return the array, converted where ``channels`` differs."""
        return with_channels(self.pixels, channels)


@dataclass(frozen=True)
class FaultyItem:
    """An image that cannot be had."""

    error: ExemplarError  # why

    def load(self, channels: int) -> Pixels:
        """Raise the error."""
        raise self.error


@runtime_checkable
class ImageSource(Protocol):
    """A set of clean images, each under a key that is unique in the set."""

    def items(self) -> dict[str, ImageItem]:
        """Return key → image, sorted by key; DataError if there is none."""
        ...

    def describe(self) -> str:
        """Return a few words for messages, e.g. "images under photos/"."""
        ...


EXTENSIONS = (".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp", ARRAY,
              *((".avif",) if AVIF else ()))  # fmt: skip
UNREAD = (".arw", ".cr2", ".cr3", ".dng", ".exr", ".gif", ".hdr", ".heic", ".heif", ".ico", ".j2k",
          ".jp2", ".jxl", ".mpo", ".nef", ".pbm", ".pgm", ".pnm", ".ppm", ".psd", ".raf", ".raw",
          ".svg", ".tga", *(() if AVIF else (".avif",)))  # fmt: skip
"""Endings of pictures that are not read."""


class ImageFolder:
    """All images below ``root``; hidden files and folders are passed over, and others are said.

    Args:
        root: The folder; a relative path starts at the repository root.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = from_root(root)

    def describe(self) -> str:
        """Return where the images are."""
        return f"images under {self.root}"

    def items(self) -> dict[str, ImageItem]:
        """Return key → image file, sorted by key; errors as in :meth:`files`."""
        return {key: FileItem(path) for key, path in self.files().items()}

    def files(self) -> dict[str, Path]:
        """Return key → path, sorted by key.

        Raises:
            DataError: If the folder is missing or holds no image.
        """
        if not self.root.is_dir():
            raise DataError(_missing(self.root))
        unreadable: list[str] = []
        seen = list(_walk(self.root, lambda error: unreadable.append(str(error.filename))))
        found = [path for path in seen if path.is_file()]
        images = [path for path in found if path.suffix.lower() in EXTENSIONS]
        others = Counter(path.suffix.lower() for path in found if path.suffix.lower() in UNREAD)
        lost = tuple(str(path) for path in seen if not path.exists() and path.is_symlink())
        _say_left_out(self.root, tuple(others.most_common()), tuple(unreadable), lost)
        if not images:
            raise DataError(_no_images(self.root, found))
        return unique_keys(images, self.root)


JOINT = "__"
"""Between the name of one of several sets and the name of an image."""


@lru_cache  # once: a folder is listed when a command begins, and again when it reads
def _say_left_out(
    root: Path, kinds: Sequence[tuple[str, int]], folders: Sequence[str], links: Sequence[str]
) -> None:
    if kinds:
        named = ", ".join(f"{count} {kind}" for kind, count in kinds)
        logger.warning("left out of %s: %s, which are not read; convert them to PNG", root, named)
    if folders:
        logger.warning("left out of %s: folders not readable: %s", root, ", ".join(folders))
    if links:
        logger.warning("left out of %s: links that lead nowhere: %s", root, ", ".join(links))


def _walk(root: Path, failed: Callable[[OSError], None]) -> Iterator[Path]:
    seen: set[str] = set()
    for folder, subfolders, names in os.walk(root, onerror=failed, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back up
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _missing(root: Path) -> str:
    if root.exists():
        return f"{root} is a file; a folder of images is needed, for example {root.parent}."
    parent = next(parent for parent in root.parents if parent.is_dir())
    try:
        folders = sorted(path.name for path in parent.iterdir() if path.is_dir())
    except PermissionError:
        folders = []
    inside = ", ".join(name for name in folders if not name.startswith("."))
    return (
        f"The folder {root} does not exist.\n"
        f"  {parent} does; its folders: {inside or 'none'}.\n"
        "  Relative paths that are typed start at the current folder."
    )


def _no_images(root: Path, found: list[Path]) -> str:
    kinds = Counter(path.suffix.lower() or "without extension" for path in found)
    held = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common(5))
    return (
        f"There is no image under {root}: it holds {held or 'no files'}.\n"
        f"  Images end in {', '.join(EXTENSIONS)}; convert others to PNG."
    )


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
    for name in _NAMERS:
        names = {path: _normal(name(path.relative_to(root))) for path in open_paths}
        count = Counter(names.values()) + Counter(keyed.keys())
        keyed |= {names[path]: path for path in open_paths if count[names[path]] == 1}
        open_paths = [path for path in open_paths if count[names[path]] > 1]
    if open_paths:
        raise DataError(
            f"These files would share a name: {', '.join(map(str, open_paths))}.\n"
            "  Rename one, so that results can be told apart."
        )
    return dict(sorted(keyed.items()))


_NAMERS: tuple[Callable[[Path], str], ...] = (
    lambda path: path.stem,
    lambda path: JOINT.join(path.with_suffix("").parts),
    lambda path: JOINT.join(path.parts),
)


def _normal(text: str) -> str:
    # macOS stores é as two characters; keys seed the noise and must not depend on the machine.
    # A byte that is not UTF-8 is escaped: keys stand in tables, records and names of pictures.
    return unicodedata.normalize("NFC", shown(text))
