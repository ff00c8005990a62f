"""A set's folder, made beside its place and put there only when all of it is right."""

import hashlib
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.progress import track

from src.commands.prepare import manifest
from src.commands.prepare.image_set import ImageSet
from src.commands.prepare.layout import choose
from src.commands.prepare.manifest import Image, Source
from src.commands.prepare.overlap import KnownTests
from src.commands.prepare.pixels import content_fingerprint, header
from src.commands.prepare.space import check_space, explain_full_disk
from src.commands.prepare.trees import Tree
from src.core.errors import DataError


@dataclass(frozen=True)
class Built:
    """What was put in place.

    Attributes:
        images: One entry a file.
        left_out: Name of an image that was there and was not taken → why.
    """

    images: list[Image]
    left_out: dict[str, str]


def build(
    image_set: ImageSet,
    trees: Sequence[Tree],
    target: Path,
    *,
    sources: Sequence[Source],
    tests: KnownTests,
    partial: bool,
    console: Console,
) -> Built:
    """Make ``target`` from the images found in ``trees``; an earlier one is replaced at the end.

    Args:
        image_set: What is wanted.
        trees: Where the images are, all together.
        target: The folder to make.
        sources: For the manifest.
        tests: Images that a training set must not hold.
        partial: Whether fewer images than expected will do.
        console: Shows progress.

    Raises:
        DataError: If images are missing, of a wrong size, or do not fit on the disk.
        ImageFileError: If one cannot be read.
    """
    listings = [tree.listing() for tree in trees]
    paths = choose((path for listing in listings for path in listing), image_set, partial=partial)
    wanted = set(paths)
    check_space(target.parent, _total(listings, wanted), f"the images of {image_set.name}")
    with _staging(target) as stage:
        built = Built([], {})
        contents = (
            item
            for tree, listing in zip(trees, listings, strict=True)
            for item in tree.read(sorted(wanted & listing.keys()))
        )
        for path, content in track(
            contents, f"Checking {image_set.name}", total=len(wanted), console=console
        ):
            _add(built, PurePosixPath(path), content, stage, image_set, tests)
        _check_count(built, image_set, partial=partial)
        built.images.sort(key=lambda image: image.name)
        manifest.write(stage, image_set, built.images, sources, built.left_out)
    return built


def _total(listings: Sequence[dict[str, int]], wanted: set[str]) -> int:
    return sum(size for held in listings for path, size in held.items() if path in wanted)


def _add(
    built: Built,
    path: PurePosixPath,
    content: bytes,
    stage: Path,
    image_set: ImageSet,
    tests: KnownTests,
) -> None:
    width, height, channels = header(content, Path(path))
    if not image_set.allows(width, height):
        sizes = " or ".join(f"{one}×{other}" for one, other in image_set.sizes or ())
        raise DataError(
            f"{path} has {width}×{height} pixels; images of {image_set.name} have {sizes}. This is "
            "another set, or was cut or scaled: give the original, source=<folder or archive>."
        )
    known = None
    if image_set.role == "test" or (width, height) in tests.sizes:
        known = content_fingerprint(content, Path(path), channels)
    if image_set.role == "train" and known in tests.names:
        built.left_out[path.name] = f"is the test image {tests.names[known]}"
        return
    stem = _names(image_set).get(known or "", path.stem)
    file = stage / f"{stem}{path.suffix}"
    if file.exists():
        raise DataError(f"{path} shows the same pixels as another image of {image_set.name}.")
    file.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    built.images.append(Image(file.name, width, height, channels, len(content), sha256, known))


def _names(image_set: ImageSet) -> dict[str, str]:
    """Return fingerprint → usual name, so that noise drawn by name is the same for every copy."""
    return {known: stem for stem, known in image_set.pixels.items()}


def _check_count(built: Built, image_set: ImageSet, *, partial: bool) -> None:
    found = len(built.images)
    if found == image_set.count or (partial and 0 < found < image_set.count):
        return
    left_out = f", {len(built.left_out)} of test sets left out" if built.left_out else ""
    raise DataError(
        f"{image_set.name} has {image_set.count} images; here are {found}{left_out}. Give the "
        "folder or archive of this set alone: source=…; to take fewer: partial=true."
    )


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """Yield a new folder that takes the place of ``target`` when the block succeeds."""
    stage = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    old = stage.with_suffix(".old")
    try:
        with explain_full_disk(target.parent):
            stage.mkdir(parents=True)
            yield stage
            if target.exists():
                target.rename(old)
            stage.rename(target)
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        for folder in (stage, old):
            shutil.rmtree(folder, ignore_errors=True)


def clear_leftovers(target: Path) -> None:
    """Remove what a killed process left of ``target``, or put back what it was replacing.

    The caller holds the folder (``lock.locked``), so none is being written.
    """
    for old in target.parent.glob(f".{target.name}.*.old"):
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(target)
    for stage in target.parent.glob(f".{target.name}.*.tmp"):
        shutil.rmtree(stage, ignore_errors=True)
