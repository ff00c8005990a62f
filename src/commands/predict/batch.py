"""What `src.predict` is to do: which images, under which names, and what is there already."""

import difflib
import glob
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from src.core.errors import ConfigError, DataError, ImageFileError
from src.core.files import fitting_name
from src.core.paths import from_root, shown
from src.data.image_file import opened, read_bytes
from src.data.photograph_writing import KINDS, kind_of, kind_of_name
from src.data.source import EXTENSIONS, ImageFolder

SKIP, OVERWRITE, REFUSE = "skip", "overwrite", "refuse"

COMPARISON = ".compare.png"
"""What the name of a comparison has behind the whole name of its result: of a.jpg and a.png there
are two."""


@dataclass(frozen=True)
class Batch:
    """Images to restore."""

    jobs: Mapping[Path, Path]  # source → target, of those whose header can be read
    kept: tuple[Path, ...]  # targets that are there already, and stay as they are
    faults: tuple[ImageFileError, ...]  # what is wrong with the others
    # Source → the format of its result, and why it is not its own; of those whose header can be
    # read.
    kinds: Mapping[Path, tuple[str, str | None]]


def plan(
    patterns: Sequence[str],
    output: Path | None,
    existing: str | None,
    kind: str | None = None,
    *,
    ending: str = "_restored",
) -> Batch:
    """Return what is to be done, looking at names and headers only.

    Args:
        patterns: Files, folders or globs.
        output: Folder of the results, or the file of a single one; None is beside each source.
        existing: What happens where a result is there: ``skip``, ``overwrite`` or ``refuse``; None:
            ``refuse`` where ``output`` is a file, as it was asked for by name, else ``skip``.
        kind: The format of all results; None for that of each source, or of the file ``output``.
        ending: Of the names of results that stand beside their sources. A source whose name has it
            is the result of an earlier start, and left out of folders and globs; comparisons too.

    Raises:
        ConfigError: If ``output`` has the name of an image, and there are several.
        DataError: If there is no image, or a result may not be written.
    """
    sources = _without_results(_found(patterns), output, ending)
    as_file = output is not None and kind_of_name(output) is not None and not _is_folder(output)
    if output is not None and as_file and len(sources) > 1:
        raise ConfigError(
            f"output={output} looks like an image, and there are {len(sources)}: give a folder, in "
            f"which results keep the names of their inputs, e.g. output={output.with_suffix('')}."
        )
    if output is not None and as_file and kind is None:
        kind = kind_of_name(output)
    headers = {source: _header(source) for source in sources}
    kinds = {
        source: found if kind is None else (kind, None)
        for source, found in headers.items()
        if not isinstance(found, ImageFileError)
    }
    if output is not None and as_file:
        targets = dict.fromkeys(sources, output)
    else:
        suffixes = {one: _suffix(one, kinds.get(one, (kind, None))[0]) for one in sources}
        targets = _targets(_names(sources, suffixes, None if output else ending), output or Path())
    existing = existing or (REFUSE if as_file else SKIP)
    _refuse_replacing_inputs(targets, overwrite=existing == OVERWRITE)
    there = {one: target for one, target in targets.items() if _place(target).exists()}
    if there and existing == REFUSE:
        raise DataError(
            f"{next(iter(there.values()))} exists already (in all {len(there)} of {len(targets)}); "
            "set existing=skip, existing=overwrite or another output."
        )
    kept = there if existing == SKIP else {}
    left = {source: target for source, target in targets.items() if source not in kept}
    jobs = {source: target for source, target in left.items() if source in kinds}
    faults = (headers[source] for source in left if source not in kinds)
    return Batch(
        jobs,
        tuple(kept.values()),
        tuple(fault for fault in faults if isinstance(fault, ImageFileError)),
        kinds,
    )


def _refuse_replacing_inputs(targets: Mapping[Path, Path], *, overwrite: bool) -> None:
    """Refuse a result in the place of a photograph that is to be restored."""
    inputs = {source.resolve() for source in targets}
    for source, target in targets.items():
        place = _place(target)
        if place == source.resolve():
            raise DataError(f"{target} would replace its own input; choose another output.")
        if overwrite and place in inputs:
            raise DataError(f"{target} would replace another input; choose another output.")


def _place(target: Path) -> Path:
    """Return where a result will be, that of ``new/../a.png`` too, whose folder is made first.

    Raises:
        DataError: If the system cannot look there: too long a name, links in a circle, no right.
    """
    with _looking("output", target, "cannot be written"):
        place = target.resolve()
        place.exists()
        return place


def _is_folder(output: Path) -> bool:
    with _looking("output", output, "cannot be written"):
        return output.is_dir()


@contextmanager
def _looking(key: str, path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # the latter of links in a circle, before Python 3.13
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{key}={shown(path)} {what}: {reason}. Choose another {key}.") from error


def _found(patterns: Sequence[str]) -> dict[Path, Path]:
    """Return source → the folder that its name starts from; a file is its own pattern's base."""
    found: dict[Path, Path] = {}
    for pattern in patterns:
        sources, base = _sources(pattern)
        for source in sources:
            found.setdefault(source, base)
    return found


def _without_results(
    found: Mapping[Path, Path], output: Path | None, ending: str
) -> dict[Path, Path]:
    """Leave out the results of an earlier start; a file that was named by itself stays.

    Into another folder only comparisons are left out, and what lies in that folder: whoever names
    one may mean to go on with results.
    """
    others = {
        source: base
        for source, base in found.items()
        if len(found) == 1 or not source.name.endswith(COMPARISON)
    }
    if output is None:
        alone = len(found) == 1
        kept = {one: others[one] for one in others if alone or not one.stem.endswith(ending)}
        return kept or dict(found)
    folder = _place(output)
    return {
        source: base
        for source, base in others.items()
        if base.resolve() not in folder.parents or folder not in source.resolve().parents
    }


def _header(source: Path) -> tuple[str, str | None] | ImageFileError:
    """Return the format of an image's result, or what is wrong with it; it may yet be damaged."""
    try:
        read_bytes(source, most=1)
        with opened(source) as image:
            return kind_of(image)
    except ImageFileError as error:
        return error


def _suffix(source: Path, kind: str | None) -> str:
    """Return how the name of a result ends: as its source, where that fits the format."""
    own = source.suffix
    return own if kind is None or own.lower() in KINDS[kind].suffixes else KINDS[kind].suffixes[0]


def _names(
    sources: Mapping[Path, Path], suffixes: Mapping[Path, str], ending: str | None
) -> dict[Path, Path]:
    """Return source → the name of its result: below its base, or with an ``ending`` beside it."""
    if ending is None:
        return {
            source: source.relative_to(base).with_suffix(suffixes[source])
            for source, base in sources.items()
        }
    return {
        source: source.with_name(f"{source.stem}{ending}{suffixes[source]}") for source in sources
    }


def _targets(names: Mapping[Path, Path], output: Path) -> dict[Path, Path]:
    """Return source → target: ``a.png``, or ``a.jpg.png`` where ``a.bmp`` becomes PNG too."""
    shared = Counter(names.values())
    targets: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    for source, short in names.items():
        name = f"{source.name}{short.suffix}" if shared[short] > 1 else short.name
        target = output / short.with_name(fitting_name(name))
        if target in taken:
            raise DataError(
                f"{taken[target]} and {source} would both become {target}; rename one of them."
            )
        taken[target], targets[source] = source, target
    return targets


def _sources(pattern: str) -> tuple[list[Path], Path]:
    """Return the images of a file, a folder or a glob, and the folder that names start from."""
    path = from_root(pattern)
    with _looking("input", path, "cannot be opened"):
        is_file, is_folder = path.is_file(), path.is_dir()
    if is_file:
        return [path], path.parent
    if is_folder:
        return list(ImageFolder(path).files().values()), path
    # Path.glob takes no absolute pattern.
    names = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207
    found = [Path(name) for name in names]
    files = [file for file in found if file.is_file()]
    if not files:
        what = "no such file or folder, and no file matches it."
        raise DataError(f"input={pattern}: {what}{_near(path)}")
    return files, _fixed_part(path)


def _near(path: Path) -> str:
    """Return what is there of a similar name, or that the folder is not."""
    if not path.parent.is_dir():
        return f" {path.parent} is not there either."
    images = [child.name for child in path.parent.iterdir() if child.suffix.lower() in EXTENSIONS]
    near = difflib.get_close_matches(path.name, images)
    return f" Did you mean {', '.join(near)}?" if near else ""


def _fixed_part(pattern: Path) -> Path:
    """Return the folder above the first wildcard of a glob."""
    folders = takewhile(lambda part: not glob.has_magic(part), pattern.parts[:-1])
    return Path(*folders)
