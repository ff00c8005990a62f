"""The cells of a comparison: what each is known by, and which of them have been run."""

import hashlib
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from src.app.config.options import key_of
from src.app.sweeps.cell_files import CELL, CELLS, is_finished, take_over
from src.app.sweeps.comparison import COMPARISON, Comparison, read_comparison
from src.app.sweeps.plan import checked_jobs
from src.app.sweeps.sweep import forget
from src.core.errors import ConfigError
from src.core.files import write_json

logger = logging.getLogger(__name__)

_ELSEWHERE = {
    "": ("paths", "logger", "resume", "accept_changes", "hydra"),
    "data": ("workers", "prefetch", "cache", "cache_dir", "cache_limit_gb"),
    "trainer": ("accelerator", "devices", "num_nodes", "strategy", "profiler"),
}
"""Keys that say where and how fast a cell is trained, and not what."""
_FOLDERS = ("train_dir", "val_dir", "sets")
"""Keys that name folders, of which the last name counts: another machine has them elsewhere."""


@dataclass(frozen=True)
class Cell:
    """One training of a comparison."""

    levels: Mapping[str, str]  # factor → level
    words: tuple[str, ...]  # of `src.train`
    identity: str  # hash of the resolved configuration
    folder: Path  # with the file CELL where it has been trained and scored, on whatever machine


def cells_of(
    comparison: Comparison, command: str, words: Sequence[str], search_path: Sequence[str] = ()
) -> list[Cell]:
    """Return all cells of a comparison, done by ``command``; Hydra must be initialised.

    ``words`` are those that all cells share, ``fixed`` among them; ``search_path`` is the word
    that says where options from elsewhere are, which is of this machine and no word of a cell.

    Raises:
        ConfigError: If the words of a cell cannot work, or two are the same training.
    """
    chosen = [(levels, (*words, *own)) for levels, own in comparison.combinations()]
    configs = checked_jobs(command, [(*search_path, *together) for _, together in chosen])
    cells: dict[str, Cell] = {}
    for (levels, together), config in zip(chosen, configs, strict=True):
        identity = identity_of(config)
        folder = _folder(comparison.folder / CELLS, "-".join(levels.values()), identity)
        if other := cells.get(identity):
            raise ConfigError(
                f"{comparison.folder / COMPARISON}: {'-'.join(other.levels.values())} and "
                f"{'-'.join(levels.values())} are the same training. Leave a level out, or give "
                "it other words."
            )
        cells[identity] = Cell(levels, together, identity, folder)
    return [*cells.values()]


def _folder(cells: Path, name: str, identity: str) -> Path:
    """Return where a cell is: it may have been finished when its levels had other names."""
    ends = f"-{identity[:8]}"
    finished = (file.parent for file in sorted(cells.glob(f"*{ends}/{CELL}")))
    return next(filter(is_finished, finished), cells / f"{name}{ends}")


def identity_of(config: Mapping[str, Any]) -> str:
    """Return SHA-256 of what in the resolved configuration of a training decides its result.

    Folders count by their last names, places and speeds do not, nor what is null, as an option is
    that has come since and is not used; the images themselves are in the record of a cell.
    """
    return hashlib.sha256(json.dumps(_decisive(config, ""), sort_keys=True).encode()).hexdigest()


def _decisive(node: Any, key: str) -> Any:  # noqa: ANN401
    if isinstance(node, Mapping):
        left_out = (*_ELSEWHERE.get(key, ()), "dirpath", "save_dir")
        return {
            str(name): _decisive(value, str(name))
            for name, value in node.items()
            if name not in left_out and value is not None
        }
    if isinstance(node, list):
        return [_decisive(value, key) for value in node]
    return Path(node).name if key in _FOLDERS and isinstance(node, str) else node


def missing_jobs(
    folder: Path,
    command: str,
    words: Sequence[str],
    only: Sequence[str] = (),
    search_path: Sequence[str] = (),
    taken_from: Sequence[Path] = (),
) -> list[list[str]]:
    """Write the list of all cells, and return the words of those that are not finished.

    Args:
        folder: Of the comparison.
        command: Primary config of a cell; Hydra must be initialised.
        words: Those that all cells share.
        only: Patterns of the names of cells that are to be run, as a shell has them; none: all.
        search_path: ``hydra.searchpath=…``, if it was given.
        taken_from: Folders of comparisons whose finished cells are copied, not trained again.

    Raises:
        ConfigError: If a pattern fits no cell, or ``words`` make other cells than the file does.
    """
    comparison = read_comparison(folder)
    cells = cells_of(comparison, command, words, search_path)
    _check_same(comparison, command, words, cells, search_path)
    rows = [
        {
            "folder": cell.folder.name,
            "levels": cell.levels,
            "sha256": cell.identity,
            "words": cell.words,
        }
        for cell in cells
    ]
    write_json(folder / CELLS / f"{CELLS}.json", rows)
    for pattern in only:
        if not any(_is_meant(cell, [pattern]) for cell in cells):
            names = ", ".join("-".join(cell.levels.values()) for cell in cells)
            raise ConfigError(f"cells={pattern} fits no cell. There are: {names}.")
    meant = [cell for cell in cells if _is_meant(cell, only)]
    if taken_from:
        copied = take_over({cell.identity: cell.folder for cell in meant}, taken_from)
        logger.info("%d finished cells are taken over from other comparisons", len(copied))
    missing = [cell for cell in meant if not is_finished(cell.folder)]
    logger.info("%d cells, of which %d are to be run", len(cells), len(missing))
    for cell in missing:
        forget(cell.folder)
    return [[*cell.words, f"hydra.sweep.subdir={cell.folder.name}"] for cell in missing]


def _check_same(
    comparison: Comparison,
    command: str,
    words: Sequence[str],
    cells: Sequence[Cell],
    search_path: Sequence[str],
) -> None:
    """Refuse words of the command line that decide what a cell is: its file does that.

    Else tables would forget the finished cells. Folders of images that the file leaves open are no
    such words, and others are none as long as the last of their names stays.
    """
    given = {key_of(word) for word in comparison.fixed}
    places = [word for word in words if is_place(word, given)]
    more = [word for word in words if word not in (*comparison.fixed, *places)]
    if not more:
        return
    shared = list(dict.fromkeys([*comparison.fixed, *places]))
    ours = {cell.identity for cell in cells_of(comparison, command, shared, search_path)}
    if ours != {cell.identity for cell in cells}:
        raise ConfigError(
            f"{' '.join(more)}: the cells would be others than {comparison.folder / COMPARISON} "
            "says, and what is finished would not count. Write it there, under fixed; on the "
            "command line belongs where and how fast: trainer.accelerator=…, data.workers=…, "
            "hydra/launcher=…"
        )


def is_place(word: str, given: Collection[str]) -> bool:
    """Return whether a word says where or how fast, or a folder of images that is not ``given``."""
    key = key_of(word)
    group, *rest = key.split(".")
    is_folder = (rest or [group])[-1] in _FOLDERS and key not in given
    return is_folder or group in _ELSEWHERE[""] or bool({*rest[:1]} & {*_ELSEWHERE.get(group, ())})


def _is_meant(cell: Cell, only: Sequence[str]) -> bool:
    name = "-".join(cell.levels.values())
    return not only or any(fnmatchcase(name, pattern) for pattern in only)
