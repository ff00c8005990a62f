"""Decoded images in memory-mapped files, so that a patch costs a slice and not a decoding."""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from src.core.console import make_console
from src.core.errors import DataError, ImageFileError
from src.core.files import replacing
from src.data.cache_use import evict, note_use
from src.data.depth import WHITE, Pixels
from src.data.image_file import read_bytes
from src.data.image_io import Grey, decode_image
from src.data.source import FaultyItem, FileItem, ImageItem

logger = logging.getLogger(__name__)

FORMAT = "v4"  # raise it when decoding changes, so that old entries are not used
_MANY = 20  # files from which there is a progress bar

# A file changed this recently may change again without its time stamp moving (FAT counts in 2 s).
_SETTLED_NS = 2_000_000_000


@dataclass(frozen=True)
class CachedItem:
    """An image in the cache."""

    entry: Path  # its .npy file
    source: Path  # the image file it was decoded from
    # (H, W, C), remembered so that a patch does not cost a reading of the header.
    shape: tuple[int, int, int]
    offset: int  # where the pixels begin in the file, in bytes
    dtype: str  # their type, e.g. ``uint8``

    @property
    def content_hash(self) -> str:
        """The SHA-256 of the image file, in hexadecimal digits."""
        return self.entry.name.partition("-")[0]

    def load(self, channels: int) -> Pixels:
        """Return a read-only view of the file, (H, W, C); only what is used is read.

        Raises:
            DataError: If the entry is gone or was cut short since it was checked.
        """
        try:
            note_use(self.entry)
            return np.memmap(self.entry, self.dtype, "r", offset=self.offset, shape=self.shape)
        except (OSError, ValueError) as error:
            raise DataError(
                f"The cache entry of {self.source} was removed or damaged during the run: "
                f"{self.entry}.\n  Start again to have it rebuilt, or set data.cache=off."
            ) from error


class CacheIndex:
    """The content hashes of one folder's files, each valid while size and time stamps stay.

    The index is an aid only: lost, damaged or unwritable, it costs a reading of the files.
    """

    def __init__(self, cache_dir: Path, folder: Path) -> None:
        name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]
        self._file = cache_dir / "index" / f"{name}.json"
        self._changed = False
        try:
            known = json.loads(self._file.read_text())
        except (OSError, ValueError):
            known = None
        self._known: dict[str, Any] = known if isinstance(known, dict) else {}

    def get(self, path: Path) -> str | None:
        """Return the hash of an unchanged ``path``, or None."""
        match self._known.get(path.name):
            case [*stamp, str(content_hash)] if stamp == stamp_of(path):
                return content_hash
        return None

    def put(self, path: Path, stamp: list[int] | None, content_hash: str) -> None:
        """Remember ``content_hash`` for the content that ``path`` had at ``stamp``."""
        if stamp and time.time_ns() - max(stamp[1:]) > _SETTLED_NS:
            self._known[path.name] = [*stamp, content_hash]
            self._changed = True

    def save(self) -> None:
        """Write what changed; another process's entries of the same folder may be lost."""
        if self._changed:
            try:
                with _replacing(self._file, self._file.parents[1]) as temporary:
                    temporary.write_text(json.dumps(self._known, indent=2) + "\n")
            except OSError as error:
                logger.info("cache index not saved, files will be read again: %s", error)


def stamp_of(path: Path) -> list[int] | None:
    """Return size and times of ``path``, to be taken before it is read; None if it is not there."""
    try:
        stat = path.stat()
    except OSError:
        return None  # reading the file will say why
    # The change time also moves when a tool sets the modification time back, as rsync does.
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


class ImageCache:
    """Decodes each image file once; an entry's name says its content, channels and format.

    Several processes may fill one cache at once; an entry appears whole or not at all.

    Args:
        cache_dir: Root of the cache, made when missing.
        channels: 3 for RGB, 1 for luma.
        limit: Size in bytes above which entries that were not used for three days are removed, the
            longest unused first; None for none.
    """

    def __init__(self, cache_dir: Path, *, channels: int, limit: int | None = None) -> None:
        self.cache_dir, self.channels, self.limit = cache_dir, channels, limit

    def fill(self, items: Mapping[str, FileItem]) -> dict[str, ImageItem]:
        """Return for each key its cached image, decoded now if need be; see :class:`FaultyItem`.

        Raises:
            DataError: If the cache cannot be written.
        """
        folders = {item.path.parent for item in items.values()}
        indexes = {folder: CacheIndex(self.cache_dir, folder) for folder in folders}

        def fetch(item: FileItem) -> ImageItem:
            try:
                return self._fetch(item, indexes[item.path.parent])
            except ImageFileError as error:
                return FaultyItem(error)

        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            results = track(
                pool.map(fetch, items.values()),
                "Decoding images into the cache",
                total=len(items),
                console=make_console(stderr=True),
                transient=True,
                disable=len(items) < _MANY,
            )
            filled = dict(zip(items, results, strict=True))
        for index in indexes.values():
            index.save()
        if self.limit is not None:
            evict(self.cache_dir, self.limit)
        return filled

    def _fetch(self, file: FileItem, index: CacheIndex) -> CachedItem:
        path = file.path
        known = index.get(path)
        item = self._item(self._entry(known, file.grey), path) if known else None
        if item is not None:
            return item
        stamp = stamp_of(path)
        content = read_bytes(path)
        name = hashlib.sha256(content).hexdigest()
        entry = self._entry(name, file.grey)
        item = self._item(entry, path)
        if item is None:
            pixels = decode_image(content, path=path, channels=self.channels, grey=file.grey)
            self._write(entry, pixels)
            item = self._item(entry, path)
        if item is None:
            raise DataError(f"{entry} cannot be read back; set data.cache_dir=… or data.cache=off.")
        index.put(path, stamp, name)
        return item

    def _entry(self, name: str, grey: Grey) -> Path:
        rule = "-by_file" if grey == "file" and self.channels == 1 else ""
        return self.cache_dir / name[:2] / f"{name}-c{self.channels}{rule}-{FORMAT}.npy"

    def _item(self, entry: Path, source: Path) -> CachedItem | None:
        """Return the image in ``entry``, or None where it is missing or not whole."""
        try:
            pixels = np.load(entry, mmap_mode="r", allow_pickle=False)  # noqa: TID251
            note_use(entry)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError):  # cut short, or not an array at all
            pixels = np.empty(0)
        if pixels.dtype in WHITE and pixels.ndim == 3 and pixels.shape[2] == self.channels:
            return CachedItem(entry, source, pixels.shape, pixels.offset, pixels.dtype.name)
        logger.info("cache entry %s is damaged and is made again", entry)
        return None

    def _write(self, entry: Path, pixels: Pixels) -> None:
        try:
            with _replacing(entry, self.cache_dir) as new, new.open("wb") as file:
                # Not np.save: on a full disk it may end without an error (its C buffer is lost).
                header = np.lib.format.header_data_from_array_1_0(pixels)
                np.lib.format.write_array_header_1_0(file, header)
                file.write(pixels.tobytes())
        except OSError as error:
            raise DataError(
                f"The image cache cannot be written: {error.strerror or error} "
                f"({pixels.nbytes / 1e6:.1f} MB into {self.cache_dir}).\n"
                "  Choose another folder, data.cache_dir=…, or decode each time, data.cache=off."
            ) from error


@contextlib.contextmanager
def _replacing(path: Path, cache_dir: Path) -> Iterator[Path]:
    """As ``replacing``, one folder below the cache; who may use the cache may use the file.

    The rights are those of the cache's own folder and not of the umask: users share it, or not.
    """
    if path.parent.is_dir():
        with replacing(path) as temporary:
            yield temporary
            _set_mode(temporary, cache_dir.stat().st_mode & 0o666)
        return
    cache_dir.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=".", dir=cache_dir))
    try:
        _set_mode(new, cache_dir.stat().st_mode & 0o7777)
        with replacing(new / path.name) as temporary:
            yield temporary
            _set_mode(temporary, cache_dir.stat().st_mode & 0o666)
        # It appears with its rights, for another user may wait to write, and not empty: an empty
        # folder is replaced by whoever was about to make it too, under one who opens a file in it.
        try:
            new.rename(path.parent)
        except OSError:  # another process was first
            (new / path.name).replace(path)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _set_mode(path: Path, mode: int) -> None:
    with contextlib.suppress(PermissionError):  # a file system without such rights
        path.chmod(mode)
