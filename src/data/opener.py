"""How a run opens images: cached or not, each read once, faults raised or skipped."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from src.core.errors import DataError, ExemplarError, ImageFileError
from src.core.files import sha256
from src.data.cache import CachedItem, ImageCache
from src.data.depth import Pixels
from src.data.image_io import Grey
from src.data.images import OpenImages
from src.data.pairs import PairItem
from src.data.source import FileItem, ImageItem, ImageSource

logger = logging.getLogger(__name__)

OnError = Literal["raise", "skip"]
ON_ERROR: tuple[OnError, ...] = ("raise", "skip")

_LISTED = 10  # faults named in one message
_ROWS = 32  # by which an image is known again: all would be read from the disk once more


class SmallImageError(DataError):
    """An image is too small for what it is to be used for.

    Attributes:
        key: The image.
        than: What it is smaller than, and what to do about it.
    """

    def __init__(self, text: str, key: str, than: str) -> None:
        super().__init__(text)
        self.key, self.than = key, than


@dataclass(frozen=True)
class Opener:
    """How images are read, and what happens to those that cannot be used."""

    channels: int  # 3 for RGB, 1 for luma
    cache_dir: Path | None  # where decoded images are kept; None decodes at each use
    on_error: OnError  # ``raise``, or ``skip``: report the image and go on without it
    cache_limit: int | None  # size of the cache in bytes; None for no limit
    grey: Grey = "content"  # what makes an image grey: its content, or its file's one channel

    def open(
        self,
        source: ImageSource,
        *,
        min_size: int = 1,
        reason: str = "",
        without_small: bool = False,
    ) -> OpenImages:
        """Return the images of ``source``; each is read once now, so that a fault shows early.

        Args:
            source: The images.
            min_size: Smallest height and width that can be used, in pixels.
            reason: What needs that size, and what to do about it.
            without_small: Whether smaller ones are left out, with one line that counts them, while
                there are others.

        Raises:
            ImageFileError: For the one unusable file, with ``on_error="raise"``.
            DataError: For several of them, or when nothing usable is left.
        """
        usable: dict[str, ImageItem] = {}
        faults: list[ExemplarError] = []
        small: list[SmallImageError] = []
        size, hashes, looks = 0, [], []
        for key, item in self._cached(source.items()).items():
            try:
                pixels = self._check(key, item, min_size, reason)
            except SmallImageError as error:
                small.append(error)
            except (DataError, ImageFileError) as error:
                faults.append(error)
            else:
                usable[key] = item
                size += pixels.nbytes
                hashes.append(_content_hash(item, pixels))
                looks.append(_look(pixels))
        if without_small and usable:
            _say_small(small, len(usable), source)
        else:
            faults += small
        self._report(faults, source)
        if not usable:
            raise DataError(f"Of {source.describe()} none can be used; each was skipped.")
        images = tuple(usable), tuple(usable.values())
        known = tuple(hashes), tuple(looks)
        shares = getattr(source, "shares", {})
        return OpenImages(*images, self.channels, size, self.grey, *known, shares)

    def _cached(self, given: dict[str, ImageItem]) -> dict[str, ImageItem]:
        pairs = {key: item for key, item in given.items() if isinstance(item, PairItem)}
        items = {**given, **{key: pair.target for key, pair in pairs.items()}}
        items |= {f"{key}\0": pair.given for key, pair in pairs.items()}
        items = self._cached_files(items)
        inputs = {key: items.pop(f"{key}\0") for key in pairs}
        for key, pair in pairs.items():
            items[key] = replace(pair, target=items[key], given=inputs[key])
        return items

    def _cached_files(self, items: dict[str, ImageItem]) -> dict[str, ImageItem]:
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
            text = f"{key}: {width}×{height} px is smaller than {what} or remove it."
            raise SmallImageError(text, key, what)
        if isinstance(item, PairItem):
            item.check(key, pixels)
        return pixels

    def _report(self, faults: list[ExemplarError], source: ImageSource) -> None:
        if self.on_error == "skip":
            for fault in faults:
                logger.warning("skipped %s", fault)
        elif len(faults) == 1 and not getattr(faults[0], "kind", ""):
            raise faults[0]
        elif faults:
            listed = "\n  ".join(_listed(faults))
            count = "1 image" if len(faults) == 1 else f"{len(faults)} images"
            raise DataError(
                f"{count} of {source.describe()} cannot be used:\n  {listed}\n"
                "  Mend them, or go on without them with data.on_error=skip "
                "(of src.degrade, on_error=skip)."
            )


def _say_small(small: Sequence[SmallImageError], others: int, source: ImageSource) -> None:
    if small:
        named = ", ".join(error.key for error in small[:3]) + ("…" if len(small) > 3 else "")
        logger.warning(
            "%d of the %d images of %s are left out (%s): smaller than %s to use them",
            *(len(small), len(small) + others, source.describe(), named, small[0].than),
        )


def _listed(faults: Sequence[ExemplarError]) -> Iterator[str]:
    """Yield lines that name faults, those of pairs counted by their kind."""
    kinds: dict[str, list[ExemplarError]] = {}
    for fault in faults:
        kinds.setdefault(getattr(fault, "kind", ""), []).append(fault)
    for kind, some in kinds.items():
        if kind:
            yield f"{len(some)} {kind}:"
        indent = "  " if kind else ""
        yield from (f"{indent}{getattr(fault, 'where', fault)}" for fault in some[:_LISTED])
        if len(some) > _LISTED:
            yield f"… and {len(some) - _LISTED} more"


def _content_hash(item: ImageItem, pixels: Pixels) -> str:
    """Return the hash of an image's file, which the cache knows, else of its pixels."""
    if isinstance(item, PairItem):
        both = [
            _content_hash(part, part.load(pixels.shape[2])) for part in (item.target, item.given)
        ]
        return hashlib.sha256("".join(both).encode()).hexdigest()
    if isinstance(item, CachedItem):
        return item.content_hash
    if isinstance(item, FileItem):
        return sha256(item.path)  # decoded just now, so that it is in memory
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def _look(pixels: Pixels) -> str:
    rows = pixels[:: -(-len(pixels) // _ROWS)]
    return hashlib.sha256(f"{pixels.shape}".encode() + rows.tobytes()).hexdigest()
