"""Images that a run has opened, and the samples that are made of whole ones."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

from torch import Tensor
from torch.utils.data import Dataset

from src.data.cache import CachedItem
from src.data.depth import Pixels
from src.data.image_io import Grey, is_grey, read_image, stored_channels, to_tensor
from src.data.pairs import PairItem
from src.data.prepared import fingerprint
from src.data.source import JOINT, ArrayItem, FileItem, ImageItem


class Sample(TypedDict):
    """One image: ``target`` float32 (C, H, W) in [0, 1], its ``key``; of a pair the ``input``."""

    target: Tensor
    key: str
    input: NotRequired[Tensor]


class WholeSample(Sample):
    """A sample to score: ``grey`` says whether it counts as grey."""

    grey: bool


@dataclass(frozen=True)
class OpenImages:
    """Images that have been read once and can be had again; picklable, for loader processes."""

    keys: tuple[str, ...]  # the images' names
    items: tuple[ImageItem, ...]  # the images, in the same order
    channels: int  # 3 for RGB, 1 for luma
    size: int  # all pixels together, in bytes
    grey: Grey  # what makes an image grey: its content, or its file's one channel
    # Of the content of each image's file, or of its pixels where it has no file.
    hashes: tuple[str, ...]
    # Of some rows of each image's pixels (of a pair: of its target's), with its size.
    looks: tuple[str, ...]
    # Of sets that are mixed, by name, which their images' keys begin with; else empty.
    shares: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def fingerprint(self) -> dict[str, int | str]:
        """How many images these are, and hashes of their names and of their contents; plain."""
        texts = {"names": "\0".join(self.keys), "contents": "\0".join(self.hashes)}
        hashes = {part: hashlib.sha256(text.encode()).hexdigest() for part, text in texts.items()}
        return {"count": len(self), **{part: text[:16] for part, text in hashes.items()}}

    def load(self, index: int) -> Pixels:
        """Return image ``index`` as (H, W, C), read-only where it comes from the cache."""
        return self.items[index].load(self.channels)

    def load_input(self, index: int) -> Pixels | None:
        """Return the input of pair ``index``, (H / s, W / s, C); None of an image alone."""
        item = self.items[index]
        return item.given.load(self.channels) if isinstance(item, PairItem) else None

    def indices(self, name: str) -> list[int]:
        """Return which images are of the mixed set ``name``."""
        return [i for i, key in enumerate(self.keys) if key.startswith(f"{name}{JOINT}")]

    def pixels(self) -> dict[str, str]:
        """Return key → fingerprint of each image (of a pair: of both), as its file has it."""
        return {
            key: " → ".join(fingerprint(_as_filed(part, self.channels)) for part in _parts(item))
            for key, item in zip(self.keys, self.items, strict=True)
        }

    def is_grey(self, index: int, pixels: Pixels) -> bool:
        """Say whether image ``index``, which has been loaded, counts as grey.

        Raises:
            ImageFileError: If its file has to be asked and is gone.
        """
        item = self.items[index]
        match item.target if isinstance(item, PairItem) else item:
            case FileItem(path=path) | CachedItem(source=path) if self.grey == "file":
                return stored_channels(path) == 1
        return is_grey(pixels)


def keys_in_both(images: OpenImages, others: OpenImages) -> list[str]:
    """Return the keys of those ``images`` that ``others`` have too, in whatever file."""
    known = set(others.looks)
    return [key for key, one in zip(images.keys, images.looks, strict=True) if one in known]


def _parts(item: ImageItem) -> tuple[ImageItem, ...]:
    return (item.given, item.target) if isinstance(item, PairItem) else (item,)


def _as_filed(item: ImageItem, channels: int) -> Pixels:
    match item:
        case FileItem(path=path) | CachedItem(source=path):
            own = stored_channels(path)
            return item.load(own) if own == channels else read_image(path, channels=own)
        case ArrayItem(pixels=pixels):
            return pixels
    return item.load(channels)


class WholeImages(Dataset[WholeSample]):
    """Each image once, whole."""

    def __init__(self, images: OpenImages) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> WholeSample:
        pixels = self.images.load(index)
        sample: WholeSample = {
            "target": to_tensor(pixels),
            "key": self.images.keys[index],
            "grey": self.images.is_grey(index, pixels),
        }
        given = self.images.load_input(index)
        return sample if given is None else {**sample, "input": to_tensor(given)}
