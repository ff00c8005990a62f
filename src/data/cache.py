"""Decoded images in memory-mapped files, so that a patch costs a slice and not a decoding."""

import hashlib
import logging
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from src.core.console import make_console
from src.core.errors import DataError, ImageFileError
from src.core.files import replacing
from src.data.cache_index import CacheIndex
from src.data.cache_limit import evict, filling, keep
from src.data.image_io import Pixels, decode_image, is_grey_file, read_bytes
from src.data.source import FileItem, ImageItem

logger = logging.getLogger(__name__)

FORMAT = "v2"  # raise it when decoding changes, so that old entries are not used
_MANY = 20  # files from which a progress bar is worth it


@dataclass(frozen=True)
class CachedItem:
    """An image in the cache.

    Attributes:
        entry: Its .npy file.
        source: The image file it was decoded from.
        shape: (H, W, C), remembered so that a patch does not cost a reading of the header.
        offset: Where the pixels begin in the file, in bytes.
    """

    entry: Path
    source: Path
    shape: tuple[int, int, int]
    offset: int

    def load(self, channels: int) -> Pixels:
        """Return a read-only view of the file, uint8 (H, W, C); only what is used is read.

        Raises:
            DataError: If the entry is gone or was cut short since it was checked.
        """
        try:
            return np.memmap(self.entry, np.uint8, "r", offset=self.offset, shape=self.shape)
        except (OSError, ValueError) as error:
            raise DataError(
                f"The cache entry of {self.source} was removed or damaged during the run: "
                f"{self.entry}.\n  Start again to have it rebuilt, or set data.cache=off."
            ) from error

    def is_grey(self) -> bool:
        """Say whether the image file has one channel."""
        return is_grey_file(self.source)


@dataclass(frozen=True)
class FaultyItem:
    """An image that cannot be had.

    Attributes:
        error: Why.
    """

    error: ImageFileError

    def load(self, channels: int) -> Pixels:
        """Raise the error."""
        raise self.error

    def is_grey(self) -> bool:
        """Raise the error."""
        raise self.error


class ImageCache:
    """Decodes each image file once; an entry's name says its content, channels and format.

    Several processes may fill one cache at once; an entry appears whole or not at all.

    Args:
        cache_dir: Root of the cache, made when missing.
        channels: 3 for RGB, 1 for luma.
        limit: Size in bytes above which entries that no process uses are removed; None for none.
    """

    def __init__(self, cache_dir: Path, *, channels: int, limit: int | None = None) -> None:
        self.cache_dir, self.channels, self.limit = cache_dir, channels, limit

    def fill(self, items: Mapping[str, FileItem]) -> dict[str, ImageItem]:
        """Return for each key its cached image, decoded now if need be; see :class:`FaultyItem`.

        Raises:
            DataError: If the cache cannot be written.
        """
        with filling(self.cache_dir):
            filled = self._fill(items)
            cached = (item for item in filled.values() if isinstance(item, CachedItem))
            keep(self.cache_dir, {item.entry for item in cached})
        if self.limit is not None:
            evict(self.cache_dir, self.limit)
        return filled

    def _fill(self, items: Mapping[str, FileItem]) -> dict[str, ImageItem]:
        folders = {item.path.parent for item in items.values()}
        indexes = {folder: CacheIndex(self.cache_dir, folder) for folder in folders}

        def fetch(item: FileItem) -> ImageItem:
            try:
                return self._fetch(item.path, indexes[item.path.parent])
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
        return filled

    def _fetch(self, path: Path, index: CacheIndex) -> CachedItem:
        known = index.get(path)
        item = self._item(self._entry(known), path) if known else None
        if item is not None:
            return item
        stamp = index.stamp(path)
        content = read_bytes(path)
        name = hashlib.sha256(content).hexdigest()
        entry = self._entry(name)
        item = self._item(entry, path)
        if item is None:
            self._write(entry, decode_image(content, path=path, channels=self.channels))
            item = self._item(entry, path)
        if item is None:
            raise DataError(f"{entry} cannot be read back; set data.cache_dir=… or data.cache=off.")
        index.put(path, stamp, name)
        return item

    def _entry(self, name: str) -> Path:
        return self.cache_dir / name[:2] / f"{name}-c{self.channels}-{FORMAT}.npy"

    def _item(self, entry: Path, source: Path) -> CachedItem | None:
        """Return what ``entry`` holds, or None where it is missing or not whole."""
        if not entry.is_file():
            return None
        try:
            pixels = np.load(entry, mmap_mode="r", allow_pickle=False)  # noqa: TID251
        except (OSError, ValueError, EOFError):  # cut short, or not an array at all
            pixels = np.empty(0)
        if pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == self.channels:
            return CachedItem(entry, source, pixels.shape, pixels.offset)
        logger.info("cache entry %s is damaged and is made again", entry)
        return None

    def _write(self, entry: Path, pixels: Pixels) -> None:
        try:
            with replacing(entry) as temporary, temporary.open("wb") as file:
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
