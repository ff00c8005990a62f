"""Images of test sets recognised by the fingerprint of their pixels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from src.commands.prepare import manifest
from src.commands.prepare.image_set import ImageSet, size_of
from src.core.errors import DataError
from src.data.image_file import has_one_channel, opened


def header(content: bytes, path: Path) -> tuple[int, int, int]:
    """Return width, height and channels (1 or 3) of an encoded image without decoding it.

    Raises:
        ImageFileError: If it is no image, or one beyond the limit of pixels.
    """
    with opened(path, content) as image:
        return image.width, image.height, 1 if has_one_channel(image) else 3


@dataclass(frozen=True)
class KnownTests:
    """The images that nothing may be trained on."""

    names: dict[str, str]  # fingerprint → set and name, e.g. ``bsd100/101085``

    @cached_property
    def sizes(self) -> frozenset[tuple[int, int]]:
        """Width and height of each; an image of no such size need not be compared by pixels."""
        return frozenset(size_of(known) for known in self.names)


def known_tests(image_sets: Iterable[ImageSet], data_dir: Path) -> KnownTests:
    """Return the images of all test sets whose pixels are published here or prepared already.

    A prepared set that is damaged is passed over.
    """
    names: dict[str, str] = {}
    for image_set in image_sets:
        if image_set.role == "test":
            for stem, known in image_set.pixels.items():
                names.setdefault(known, f"{image_set.name}/{stem}")
            for image in _prepared(data_dir / image_set.name):
                if image.pixels is not None:
                    names.setdefault(image.pixels, f"{image_set.name}/{Path(image.name).stem}")
    return KnownTests(names)


def unchecked(
    images: Sequence[manifest.Image], image_sets: Iterable[ImageSet], data_dir: Path
) -> list[str]:
    """Return the prepared training sets that may hold one of ``images``.

    They were prepared before these images were known: one of theirs has the size of one of these,
    and either was not compared by pixels, or is the same.
    """
    sizes = {(image.width, image.height) for image in images}
    pixels = {image.pixels for image in images} | {None}
    return [
        one.name
        for one in image_sets
        if one.role == "train"
        and any(
            (held.width, held.height) in sizes and held.pixels in pixels
            for held in _prepared(data_dir / one.name)
        )
    ]


def _prepared(folder: Path) -> list[manifest.Image]:
    try:
        return manifest.read(folder)
    except DataError:
        return []
