"""What a finished cell of a comparison has left, and how another comparison takes it over."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from src.app.config.resume import refuse_links
from src.core.errors import ConfigError

CELLS, CELL = "cells", "cell.json"
"""The folder of a comparison's cells; what each ends with."""
COMPARED = (CELL, "results.json", "metrics.csv")
"""Of a finished cell, what tables are made of: cost, scores, curve."""


def is_finished(cell: Path) -> bool:
    """Return whether all is there that is compared; what has lost a file is trained again."""
    return all((cell / name).is_file() for name in COMPARED)


def take_over(cells: Mapping[str, Path], folders: Sequence[Path]) -> list[str]:
    """Copy what other comparisons have of ``cells``; return the names of those that were copied.

    Equal cells have equal hashes, whatever their levels are called. One that has begun here stays.

    Args:
        cells: Identity → folder, of this comparison.
        folders: Of the others.

    Raises:
        ConfigError: If one of these has no list of cells that can be read.
        UntrustedError: If a file there is a link.
    """
    known: dict[str, Path] = {}
    for folder in folders:
        refuse_links(folder)
        known |= {identity: cell for identity, cell in _finished(folder) if identity not in known}
    copied = []
    for identity, cell in cells.items():
        source = known.get(identity)
        if source is not None and not cell.exists():
            _copy(source, cell)
            copied.append(cell.name)
    return copied


def _finished(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield identity and folder of each finished cell of a comparison."""
    index = folder / CELLS / f"{CELLS}.json"
    try:
        rows = json.loads(index.read_text(encoding="utf-8"))
        listed = [(str(row["sha256"]), str(row["folder"])) for row in rows]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "damaged"
        raise ConfigError(
            f"from={folder}: {index}: {reason}. Give folders of comparisons that have been run."
        ) from error
    for identity, name in listed:
        cell = index.parent / Path(name).name
        if cell.name.endswith(f"-{identity[:8]}") and is_finished(cell) and _is_readable(cell):
            yield identity, cell


def _is_readable(cell: Path) -> bool:
    """Return whether the files of a finished cell are no rubbish."""
    try:
        return all(
            isinstance(json.loads((cell / name).read_text(encoding="utf-8")), dict)
            for name in COMPARED
            if name.endswith(".json")
        )
    except (OSError, ValueError, RecursionError):
        return False


def _copy(source: Path, target: Path) -> None:
    """Copy the files of a cell, so that it is there as a whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".taken_over_") as made:
        whole = Path(made) / target.name
        whole.mkdir()
        for file in source.iterdir():
            if file.is_file():
                shutil.copyfile(file, whole / file.name)
        whole.rename(target)
