"""What `src.predict` is to do: which images, under which names, and what is there already."""

import glob
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from src.core.errors import ConfigError, DataError, ImageFileError, did_you_mean
from src.core.files import fitting_name
from src.core.paths import from_root
from src.data.datasets.folder import EXTENSIONS, ImageFolder
from src.data.image_io import opened, read_bytes
from src.data.photograph_writing import KINDS, kind_of

SKIP, OVERWRITE, REFUSE = "skip", "overwrite", "refuse"


@dataclass(frozen=True)
class Batch:
    """Images to restore.

    Attributes:
        jobs: Source → target, of those whose header can be read.
        kept: Targets that are there already, and stay as they are.
        faults: What is wrong with the others.
        kinds: Source → the format of its result, and why it is not its own; of those whose header
            can be read.
    """

    jobs: Mapping[Path, Path]
    kept: tuple[Path, ...]
    faults: tuple[ImageFileError, ...]
    kinds: Mapping[Path, tuple[str, str | None]]


def plan(pattern: str, output: Path, existing: str, kind: str | None = None) -> Batch:
    """Return what is to be done, looking at names and headers only.

    Args:
        pattern: A file, a folder or a glob.
        output: Folder of the results.
        existing: What happens where a result is there: ``skip``, ``overwrite`` or ``refuse``.
        kind: The format of all results; None for that of each source.

    Raises:
        ConfigError: If ``output`` has the name of an image.
        DataError: If there is no image, or a result may not be written.
    """
    if output.suffix.lower() in EXTENSIONS and not output.is_dir():
        raise ConfigError(
            f"output={output} looks like an image, and it is the folder of the results, which keep "
            f"the names of their inputs: e.g. output={output.with_suffix('')}."
        )
    sources, base = _sources(pattern)
    if base.resolve() in output.resolve().parents:  # results of an earlier start are no input
        sources = [source for source in sources if output.resolve() not in source.resolve().parents]
    headers = {source: _header(source) for source in sources}
    kinds = {
        source: found if kind is None else (kind, None)
        for source, found in headers.items()
        if not isinstance(found, ImageFileError)
    }
    suffixes = {source: _suffix(source, kinds.get(source, (kind, None))[0]) for source in sources}
    targets = _targets(suffixes, base, output)
    there = {source: target for source, target in targets.items() if target.exists()}
    for source, target in there.items():
        if target.resolve() == source.resolve():
            raise DataError(f"{target} would replace its own input; choose another output folder.")
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


def _targets(suffixes: Mapping[Path, str], base: Path, output: Path) -> dict[Path, Path]:
    """Return source → target: ``a.png``, or ``a.jpg.png`` where ``a.bmp`` becomes PNG too.

    Raises:
        DataError: If two would still share a name.
    """
    short = {
        source: source.relative_to(base).with_suffix(suffix) for source, suffix in suffixes.items()
    }
    shared = Counter(short.values())
    targets: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    for source, suffix in suffixes.items():
        name = f"{source.name}{suffix}" if shared[short[source]] > 1 else short[source].name
        target = output / short[source].with_name(fitting_name(name))
        if target in taken:
            raise DataError(
                f"{taken[target]} and {source} would both become {target}; rename one of them."
            )
        taken[target], targets[source] = source, target
    return targets


def _sources(pattern: str) -> tuple[list[Path], Path]:
    """Return the images of a file, a folder or a glob, and the folder that names start from."""
    path = from_root(pattern)
    if path.is_file():
        return [path], path.parent
    if path.is_dir():
        return list(ImageFolder(path).files().values()), path
    # Path.glob takes no absolute pattern.
    names = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207
    found = [Path(name) for name in names]
    files = [file for file in found if file.is_file()]
    if not files:
        near = [str(child) for child in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = did_you_mean(str(path), near) if near else f"{path.parent} is not there either."
        raise DataError(f"input={pattern}: no such file or folder, and no file matches it. {hint}")
    return files, _fixed_part(path)


def _fixed_part(pattern: Path) -> Path:
    """Return the folder above the first wildcard of a glob."""
    folders = takewhile(lambda part: not glob.has_magic(part), pattern.parts[:-1])
    return Path(*folders)
