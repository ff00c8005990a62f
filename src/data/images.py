"""Images that a run has opened: cached or not, checked once, faults raised or skipped."""

import hashlib
import logging
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypedDict

from torch import Tensor
from torch.utils.data import Dataset

from src.core.errors import DataError, ExemplarError, ImageFileError
from src.data.cache import CachedItem, ImageCache
from src.data.image_io import Grey, Pixels, has_one_channel, is_grey, opened, to_tensor
from src.data.source import ArrayItem, FileItem, ImageItem, ImageSource

logger = logging.getLogger(__name__)

OnError = Literal["raise", "skip"]
ON_ERROR: tuple[OnError, ...] = ("raise", "skip")

_LISTED = 10  # faults named in one message


class Sample(TypedDict):
    """One image: ``target`` float32 (C, H, W) in [0, 1], and its ``key``."""

    target: Tensor
    key: str


class WholeSample(Sample):
    """A sample to score: ``grey`` says whether it counts as grey."""

    grey: bool


@dataclass(frozen=True)
class OpenImages:
    """Images that have been read once and can be had again; picklable, for loader processes.

    Attributes:
        keys: The images' names.
        items: The images, in the same order.
        channels: 3 for RGB, 1 for luma.
        size: All pixels together, in bytes.
        grey: What makes an image grey: its content, or its file's one channel.
    """

    keys: tuple[str, ...]
    items: tuple[ImageItem, ...]
    channels: int
    size: int
    grey: Grey = "content"

    def __len__(self) -> int:
        return len(self.keys)

    def load(self, index: int) -> Pixels:
        """Return image ``index`` as uint8 (H, W, C), read-only where it comes from the cache."""
        return self.items[index].load(self.channels)

    def is_grey(self, index: int, pixels: Pixels) -> bool:
        """Say whether image ``index``, which has been loaded, counts as grey.

        Raises:
            ImageFileError: If its file has to be asked and is gone.
        """
        match self.items[index]:
            case FileItem(path=path) | CachedItem(source=path) if self.grey == "file":
                with opened(path) as image:
                    return has_one_channel(image)
        return is_grey(pixels)


@dataclass(frozen=True)
class Opener:
    """How images are read, and what happens to those that cannot be used.

    Attributes:
        channels: 3 for RGB, 1 for luma.
        cache_dir: Where decoded images are kept; None decodes at each use.
        on_error: ``raise``, or ``skip``: report the image and go on without it.
        cache_limit: Size of the cache in bytes; None for no limit.
        grey: What makes an image grey: its content, or its file's one channel.
    """

    channels: int
    cache_dir: Path | None
    on_error: OnError
    cache_limit: int | None
    grey: Grey = "content"

    def open(self, source: ImageSource, *, min_size: int = 1, reason: str = "") -> OpenImages:
        """Return the images of ``source``; each is read once now, so that a fault shows early.

        Args:
            source: The images.
            min_size: Smallest height and width that can be used, in pixels.
            reason: What needs that size, and what to do about it.

        Raises:
            ImageFileError: For the one unusable file, with ``on_error="raise"``.
            DataError: For several of them, or when nothing usable is left.
        """
        usable: dict[str, ImageItem] = {}
        faults: list[ExemplarError] = []
        size = 0
        for key, item in self._cached(source.items()).items():
            try:
                size += self._check(key, item, min_size, reason)
                usable[key] = item
            except (DataError, ImageFileError) as error:
                faults.append(error)
        self._report(faults, source)
        if not usable:
            raise DataError(f"Of {source.describe()} none can be used; each was skipped.")
        return OpenImages(tuple(usable), tuple(usable.values()), self.channels, size, self.grey)

    def _cached(self, items: dict[str, ImageItem]) -> dict[str, ImageItem]:
        files = {
            key: replace(item, grey=self.grey)
            for key, item in items.items()
            if isinstance(item, FileItem)
        }
        if self.cache_dir is None:
            return {**items, **files}
        cache = ImageCache(self.cache_dir, channels=self.channels, limit=self.cache_limit)
        return {**items, **cache.fill(files)}

    def _check(self, key: str, item: ImageItem, min_size: int, reason: str) -> int:
        pixels = item.load(self.channels)
        height, width, _ = pixels.shape
        if min(height, width) < min_size:
            what = reason.format(min_size)
            raise DataError(f"{key}: {width}×{height} px is smaller than {what} or remove it.")
        return pixels.nbytes

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


def keys_in_both(images: OpenImages, others: OpenImages) -> list[str]:
    """Return the keys of those ``images`` whose files ``others`` have too, under whatever name.

    Of files that the cache does not know, those of one size are read.
    """
    sizes = [Counter(map(_size, opened.items)) for opened in (images, others)]
    shared = sizes[0].keys() & sizes[1].keys()
    known = {_content(item) for item in others.items if _size(item) in shared}
    pairs = zip(images.keys, images.items, strict=True)
    return [key for key, item in pairs if _size(item) in shared and _content(item) in known]


def _size(item: ImageItem) -> int:
    match item:
        case CachedItem():
            return item.entry.stat().st_size
        case FileItem():
            return item.path.stat().st_size
        case _:
            return 0


def _content(item: ImageItem) -> object:
    """Return what two items have in common if they are the same image."""
    match item:
        case CachedItem():
            return item.entry
        case FileItem():
            return hashlib.sha256(item.path.read_bytes()).digest()
        case ArrayItem():
            return item.pixels.shape, item.pixels.tobytes()
        case _:
            return id(item)


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
        pixels = self.images.load(index)
        return {
            "target": to_tensor(pixels),
            "key": self.images.keys[index],
            "grey": self.images.is_grey(index, pixels),
        }
