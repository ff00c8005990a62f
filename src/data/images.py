"""Images that a run has opened: cached or not, checked once, faults raised or skipped."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

from torch import Tensor
from torch.utils.data import Dataset

from src.core.errors import DataError, ExemplarError, ImageFileError
from src.core.files import sha256
from src.data.cache import CachedItem, ImageCache
from src.data.image_io import Pixels, to_tensor
from src.data.source import FileItem, ImageItem, ImageSource

logger = logging.getLogger(__name__)

OnError = Literal["raise", "skip"]
ON_ERROR: tuple[OnError, ...] = ("raise", "skip")

_LISTED = 10  # faults named in one message


class Sample(TypedDict):
    """One image: ``target`` float32 (C, H, W) in [0, 1], and its ``key``."""

    target: Tensor
    key: str


class WholeSample(Sample):
    """A sample to score: ``grey`` says whether its file has one channel."""

    grey: bool


@dataclass(frozen=True)
class OpenImages:
    """Images that have been read once and can be had again; picklable, for loader processes.

    Attributes:
        keys: The images' names.
        items: The images, in the same order.
        channels: 3 for RGB, 1 for luma.
        size: All pixels together, in bytes.
        fingerprint: Plain: how many they are, and hashes of their names and of their contents.
    """

    keys: tuple[str, ...]
    items: tuple[ImageItem, ...]
    channels: int
    size: int
    fingerprint: dict[str, int | str]

    def __len__(self) -> int:
        return len(self.keys)

    def load(self, index: int) -> Pixels:
        """Return image ``index`` as uint8 (H, W, C), read-only where it comes from the cache."""
        return self.items[index].load(self.channels)


@dataclass(frozen=True)
class Opener:
    """How images are read, and what happens to those that cannot be used.

    Attributes:
        channels: 3 for RGB, 1 for luma.
        cache_dir: Where decoded images are kept; None decodes at each use.
        on_error: ``raise``, or ``skip``: report the image and go on without it.
        cache_limit: Size of the cache in bytes; None for no limit.
    """

    channels: int
    cache_dir: Path | None
    on_error: OnError
    cache_limit: int | None

    def open(self, source: ImageSource, *, min_size: int = 1) -> OpenImages:
        """Return the images of ``source``; each is read once now, so that a fault shows early.

        Args:
            source: The images.
            min_size: Smallest height and width that can be used, in pixels.

        Raises:
            ImageFileError: For the one unusable file, with ``on_error="raise"``.
            DataError: For several of them, or when nothing usable is left.
        """
        usable: dict[str, ImageItem] = {}
        faults: list[ExemplarError] = []
        size, contents = 0, hashlib.sha256()
        for key, item in self._cached(source.items()).items():
            try:
                pixels = self._check(key, item, min_size)
            except (DataError, ImageFileError) as error:
                faults.append(error)
            else:
                usable[key] = item
                size += pixels.nbytes
                contents.update(_content_hash(item, pixels).encode())
        self._report(faults, source)
        if not usable:
            raise DataError(f"Of {source.describe()} none can be used; each was skipped.")
        names = hashlib.sha256("\0".join(usable).encode()).hexdigest()[:16]
        fingerprint = {"names": names, "contents": contents.hexdigest()[:16]}
        return OpenImages(
            *(tuple(usable), tuple(usable.values()), self.channels, size),
            {"count": len(usable), **fingerprint},
        )

    def _cached(self, items: dict[str, ImageItem]) -> dict[str, ImageItem]:
        if self.cache_dir is None:
            return items
        files = {key: item for key, item in items.items() if isinstance(item, FileItem)}
        cache = ImageCache(self.cache_dir, channels=self.channels, limit=self.cache_limit)
        return {**items, **cache.fill(files)}

    def _check(self, key: str, item: ImageItem, min_size: int) -> Pixels:
        pixels = item.load(self.channels)
        height, width, _ = pixels.shape
        if min(height, width) < min_size:
            raise DataError(
                f"{key}: {width}×{height} px is smaller than a training patch of {min_size} px; "
                "lower data.patch_size or remove it."
            )
        return pixels

    def _report(self, faults: list[ExemplarError], source: ImageSource) -> None:
        if self.on_error == "skip":
            for fault in faults:
                logger.warning("skipped %s", fault)
        elif len(faults) == 1:
            raise faults[0]
        elif faults:
            named = "\n  ".join(str(fault) for fault in faults[:_LISTED])
            more = f"\n  … and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
            raise DataError(
                f"{len(faults)} images of {source.describe()} cannot be used:\n  {named}{more}\n"
                "  Mend them, or go on without them with data.on_error=skip."
            )


def _content_hash(item: ImageItem, pixels: Pixels) -> str:
    """Return the hash of an image's file, which the cache knows, else of its pixels."""
    if isinstance(item, CachedItem):
        return item.content_hash
    if isinstance(item, FileItem):
        return sha256(item.path)  # decoded just now, so that it is in memory
    return hashlib.sha256(pixels.tobytes()).hexdigest()


class WholeImages(Dataset[WholeSample]):
    """Each image once, whole.

    Args:
        images: The images.
    """

    def __init__(self, images: OpenImages) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> WholeSample:
        return {
            "target": to_tensor(self.images.load(index)),
            "key": self.images.keys[index],
            "grey": self.images.items[index].is_grey(),
        }
