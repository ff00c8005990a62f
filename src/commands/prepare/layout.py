"""Which files of an unpacked or packed archive are the images of a set."""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from src.commands.prepare.image_set import ImageSet
from src.core.errors import DataError
from src.data.datasets.folder import EXTENSIONS


def is_image(path: str) -> bool:
    """Return whether ``path`` names an image; hidden files and macOS's doubles are none."""
    parts = PurePosixPath(path).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and PurePosixPath(path).suffix.lower() in EXTENSIONS


def matches(path: str, pattern: str) -> bool:
    """Return whether the end of ``path`` is like ``pattern``, whatever the case of letters.

    ``HR/*`` is like ``benchmark/Set5/HR/baby.png``; ``*`` is like every path.
    """
    return PurePosixPath(path.lower()).match(pattern.lower())


def choose(paths: Iterable[str], image_set: ImageSet, *, partial: bool) -> list[str]:
    """Return the paths of the set's images, sorted: those under the first layout that fits.

    A layout fits when it holds the expected number of images. Failing that, a training set takes
    the first that holds more, because images of known test sets are still to be left out.

    Args:
        paths: Everything that is there, as POSIX paths.
        image_set: What is wanted.
        partial: Whether the first layout that holds anything fits, as when only a part is there.

    Raises:
        DataError: If none fits, with what each layout holds, or two images share a name.
    """
    images = sorted(path for path in set(paths) if is_image(path))
    wanted = [path for path in images if PurePosixPath(path).stem not in image_set.exclude]
    found = [_under(wanted, layout) for layout in image_set.layouts]
    fits = [held for held in found if len(held) == image_set.count]
    if image_set.role == "train":
        fits += [held for held in found if len(held) > image_set.count]
    if partial:
        fits += [held for held in found if held]
    if not fits:
        raise DataError(_nothing_fits(image_set, images, found))
    _refuse_twins(fits[0])
    return fits[0]


def _under(paths: Sequence[str], layout: Sequence[str]) -> list[str]:
    return [path for path in paths if any(matches(path, pattern) for pattern in layout)]


def _refuse_twins(paths: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for path in paths:
        twin = seen.setdefault(PurePosixPath(path).name.lower(), path)
        if twin != path:
            raise DataError(
                f"{twin} and {path} would become one file. Give the folder that holds only the "
                "images of the set: source=<folder>."
            )


def _nothing_fits(
    image_set: ImageSet, images: Sequence[str], found: Sequence[Sequence[str]]
) -> str:
    counts = [
        f"{' + '.join(layout)}: {len(held)}"
        for layout, held in zip(image_set.layouts, found, strict=True)
        if held
    ]
    held = "; ".join(counts) or f"no image among {len(images)} is where one of them is expected"
    return (
        f"{image_set.name} has {image_set.count} images, and no known layout holds as many "
        f"({held}).\n"
        "  Give the folder or archive that holds them: source=…; to take fewer: partial=true."
    )
