"""A set's folder, made beside its place and put there only when all of it is right."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.progress import track

from src.commands.prepare import manifest
from src.commands.prepare.archives import Tree
from src.commands.prepare.image_set import ImageSet, choose
from src.commands.prepare.manifest import Image, Source
from src.commands.prepare.pixels import KnownTests, header
from src.commands.prepare.staging import check_space, staging
from src.core.errors import DataError
from src.data.image_io import decode_image
from src.data.prepared import fingerprint


@dataclass(frozen=True)
class Built:
    """What was put in place."""

    images: list[Image]  # one entry a file
    left_out: dict[str, str]  # name of an image that was there and was not taken → why


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

    A training set must hold none of ``tests``; with ``partial`` fewer images than expected will do.

    Raises:
        DataError: If images are missing, of a wrong size, or do not fit on the disk.
        ImageFileError: If one cannot be read.
    """
    paths = (path for tree in trees for path in tree.sizes)
    wanted = set(choose(paths, image_set, partial=partial))
    size = sum(tree.sizes[path] for tree in trees for path in wanted & tree.sizes.keys())
    check_space(target.parent, size, f"the images of {image_set.name}")
    with staging(target) as stage:
        built = Built([], {})
        contents = (
            item for tree in trees for item in tree.read(sorted(wanted & tree.sizes.keys()))
        )
        for path, content in track(
            contents, f"Checking {image_set.name}", total=len(wanted), console=console
        ):
            _add(built, PurePosixPath(path), content, stage, image_set, tests)
        _check_count(built, image_set, partial=partial)
        built.images.sort(key=lambda image: image.name)
        manifest.write(stage, image_set, built.images, sources, built.left_out)
    return built


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
            f"{path} has {width}×{height} pixels; images of {image_set.name} have "
            f"{sizes or 'other sizes'}. This is another set, or was cut or scaled: give the "
            "original, source=<folder or archive>."
        )
    known = None
    if image_set.role == "test" or (width, height) in tests.sizes:
        known = fingerprint(decode_image(content, path=Path(path), channels=channels))
    if image_set.role == "train" and known in tests.names:
        built.left_out[path.name] = f"is the test image {tests.names[known]}"
        return
    usual = {pixels: name for name, pixels in image_set.pixels.items()}
    stem = usual.get(known or "", path.stem)  # noise drawn by name is the same for every copy
    file = stage / f"{stem}{path.suffix}"
    if file.exists():
        raise DataError(f"{path} shows the same pixels as another image of {image_set.name}.")
    file.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    built.images.append(Image(file.name, width, height, channels, len(content), sha256, known))


def _check_count(built: Built, image_set: ImageSet, *, partial: bool) -> None:
    found = len(built.images)
    if found == image_set.count or (partial and 0 < found < image_set.count):
        return
    left_out = f", {len(built.left_out)} of test sets left out" if built.left_out else ""
    raise DataError(
        f"{image_set.name} has {image_set.count} images; here are {found}{left_out}. Give the "
        "folder or archive of this set alone: source=…; to take fewer: partial=true."
    )
