"""The record of a prepared set: what is in the folder, and where it came from."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import track

from src.commands.prepare.image_set import ImageSet
from src.core.errors import DataError
from src.core.files import sha256, write_json
from src.data.prepared import MANIFEST

VERSION = 1


@dataclass(frozen=True)
class Image:
    """One image of a prepared set."""

    name: str  # file name
    width: int  # in pixels
    height: int  # in pixels
    channels: int  # 1 for grey, else 3
    bytes: int  # size of the file
    sha256: str  # hash of the file, in hex
    pixels: str | None  # fingerprint (see :mod:`src.data.prepared`); None where it is not needed.


@dataclass(frozen=True)
class Source:
    """Where images came from."""

    place: str  # an address, or a file or folder of the machine on which the set was prepared
    sha256: str | None  # of an archive; None for a folder
    checked: bool  # whether a published checksum agreed; else what came was taken on trust


def write(
    folder: Path,
    image_set: ImageSet,
    images: Sequence[Image],
    sources: Sequence[Source],
    left_out: dict[str, str],
) -> None:
    """Write the manifest of ``folder``; OSError if it cannot be written.

    ``left_out`` has the name of each image that was there and was not taken, and why.
    """
    known = sum(is_known(image, image_set) for image in images) if image_set.pixels else None
    record = {
        "version": VERSION,
        "set": image_set.name,
        "role": image_set.role,
        "terms": image_set.terms,
        "prepared": datetime.now().astimezone().isoformat(timespec="seconds"),
        "complete": len(images) == image_set.count and known in {None, image_set.count},
        "identical_to_reference": known,
        "sources": [asdict(source) for source in sources],
        "left_out": left_out,
        "images": [asdict(image) for image in images],
    }
    write_json(folder / MANIFEST, record)


def is_known(image: Image, image_set: ImageSet) -> bool:
    """Return whether an image equals, pixel for pixel, the known one of its name."""
    known = image_set.pixels.get(Path(image.name).stem)
    return known is not None and image.pixels == known


def read(folder: Path) -> list[Image]:
    """Return the images that the manifest of ``folder`` lists.

    Raises:
        DataError: If it is missing, damaged, or of another version.
    """
    file = folder / MANIFEST
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["version"] == VERSION:
            return [Image(**image) for image in record["images"]]
        reason = f"of version {record['version']}, not {VERSION}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"missing or damaged ({error})"
    raise DataError(f"{file} is {reason}. Prepare the set again: overwrite=true.")


def faults(folder: Path, *, rehash: bool, console: Console) -> Iterator[str]:
    """Yield what of ``folder`` is not as its manifest says.

    Unless ``rehash``, only names and sizes are compared, and nothing is read and hashed.

    Raises:
        DataError: As :func:`read`.
    """
    images = read(folder)
    quick = not rehash or len(images) < 20
    for image in track(images, f"Verifying {folder.name}", console=console, disable=quick):
        file = folder / image.name
        if not file.is_file():
            yield f"{image.name} is missing"
        elif file.stat().st_size != image.bytes:
            yield f"{image.name} has {file.stat().st_size:,} bytes, not {image.bytes:,}"
        elif rehash and sha256(file) != image.sha256:
            yield f"{image.name} has another content"
    listed = {MANIFEST, *(image.name for image in images)}
    for file in folder.iterdir():
        if file.name not in listed and not file.name.startswith("."):
            yield f"{file.name} is not of the set"
