"""Images that a run has opened: cached or not, checked once, faults raised or skipped."""

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypedDict

from torch import Tensor
from torch.utils.data import Dataset

from src.core.errors import DataError, ExemplarError, ImageFileError
from src.core.files import sha256
from src.data.cache import CachedItem, ImageCache
from src.data.image_io import Grey, Pixels, has_one_channel, is_grey, opened, to_tensor
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
        hashes: Of the content of each image's file, or of its pixels where it has no file.
    """

    keys: tuple[str, ...]
    items: tuple[ImageItem, ...]
    channels: int
    size: int
    grey: Grey
    hashes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def fingerprint(self) -> dict[str, int | str]:
        """How many images these are, and hashes of their names and of their contents; plain."""
        texts = {"names": "\0".join(self.keys), "contents": "\0".join(self.hashes)}
        hashes = {part: hashlib.sha256(text.encode()).hexdigest() for part, text in texts.items()}
        return {"count": len(self), **{part: text[:16] for part, text in hashes.items()}}

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
        size, hashes = 0, []
        for key, item in self._cached(source.items()).items():
            try:
                pixels = self._check(key, item, min_size, reason)
            except (DataError, ImageFileError) as error:
                faults.append(error)
            else:
                usable[key] = item
                size += pixels.nbytes
                hashes.append(_content_hash(item, pixels))
        self._report(faults, source)
        if not usable:
            raise DataError(f"Of {source.describe()} none can be used; each was skipped.")
        images = tuple(usable), tuple(usable.values())
        return OpenImages(*images, self.channels, size, self.grey, tuple(hashes))

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

    def _check(self, key: str, item: ImageItem, min_size: int, reason: str) -> Pixels:
        pixels = item.load(self.channels)
        height, width, _ = pixels.shape
        if min(height, width) < min_size:
            what = reason.format(min_size)
            raise DataError(f"{key}: {width}×{height} px is smaller than {what} or remove it.")
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


def keys_in_both(images: OpenImages, others: OpenImages) -> list[str]:
    """Return the keys of those ``images`` that ``others`` have too, under whatever name."""
    known = set(others.hashes)
    return [key for key, one in zip(images.keys, images.hashes, strict=True) if one in known]


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
        pixels = self.images.load(index)
        return {
            "target": to_tensor(pixels),
            "key": self.images.keys[index],
            "grey": self.images.is_grey(index, pixels),
        }
