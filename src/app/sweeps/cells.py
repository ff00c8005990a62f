"""A comparison: which cells its factors make, and which of them have been run."""

import hashlib
import itertools
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from src.app.config.resume import check_overrides, refuse_links
from src.app.config.typed import WRITTEN, address_of
from src.app.sweeps.plan import checked_jobs
from src.app.sweeps.sweep import forget
from src.core.errors import ConfigError
from src.core.files import write_json
from src.weights.untrusted import read_text

logger = logging.getLogger(__name__)

COMPARISON, CELLS, CELL = "comparison.yaml", "cells", "cell.json"
"""The file of a comparison; the folder beside it of its cells; what each ends with."""

_KEYS = {"title": str, "fixed": list, "factors": dict, "reference": dict, "conclusion": str}
_ELSEWHERE = {
    "": ("paths", "logger", "resume", "accept_changes", "hydra"),
    "data": ("workers", "prefetch", "cache", "cache_dir", "cache_limit_gb"),
    "trainer": ("accelerator", "devices", "num_nodes", "strategy", "max_time", "profiler"),
}
"""Keys that say where and how fast a cell is trained, and not what."""
_FOLDERS = ("train_dir", "val_dir", "sets")
"""Keys that name folders, of which the last name counts: another machine has them elsewhere."""


@dataclass(frozen=True)
class Comparison:
    """What ``comparison.yaml`` says."""

    folder: Path  # where the file is
    title: str
    fixed: tuple[str, ...]  # words of `src.train` that all cells share
    factors: Mapping[str, Mapping[str, tuple[str, ...]]]  # factor → level → its words
    reference: Mapping[str, str]  # factor → the level that the others are compared with
    conclusion: str  # what its page begins with, empty before there is one

    def combinations(self) -> Iterator[tuple[dict[str, str], list[str]]]:
        """Yield the levels of each cell, by factor, and its words; the last factor varies first."""
        for chosen in itertools.product(*self.factors.values()):
            levels = dict(zip(self.factors, chosen, strict=True))
            words = [
                word for factor, level in levels.items() for word in self.factors[factor][level]
            ]
            yield levels, words


@dataclass(frozen=True)
class Cell:
    """One training of a comparison."""

    levels: Mapping[str, str]  # factor → level
    words: tuple[str, ...]  # of `src.train`
    identity: str  # hash of the resolved configuration
    folder: Path  # with the file CELL where it has been trained and scored, on whatever machine


def read_comparison(folder: Path) -> Comparison:
    """Read the file of a comparison; ConfigError if it is not there, or not as it is to be."""
    file = folder / COMPARISON
    try:
        content = yaml.safe_load(read_text(file))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}. Give the folder of a comparison.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is no YAML: {error}") from error
    content = {"conclusion": "", **content} if isinstance(content, dict) else {}
    for key, kind in _KEYS.items():
        if not isinstance(content.get(key), kind):
            raise ConfigError(f"{file}: {key} is missing or no {kind.__name__}.")
    if more := sorted(content.keys() - _KEYS):
        raise ConfigError(f"{file}: there is no key {more[0]!r}; allowed: {', '.join(_KEYS)}.")
    factors = {str(name): _levels(file, name, of) for name, of in content["factors"].items()}
    refuse_links(folder)  # a cell that is finished has all but its record removed
    every = (words for levels in factors.values() for words in levels.values())
    _check_words(file, [*content["fixed"], *itertools.chain.from_iterable(every)])
    reference = {str(name): str(level) for name, level in content["reference"].items()}
    for factor, level in reference.items():
        if level not in factors.get(factor, {}):
            raise ConfigError(f"{file}: reference.{factor}={level} is no level of a factor.")
    fixed = tuple(content["fixed"])
    conclusion = content["conclusion"].strip()
    return Comparison(folder, content["title"], fixed, factors, reference, conclusion)


def _check_words(file: Path, words: Sequence[object]) -> None:
    """Refuse words that say more than settings of a training: the file may be anybody's."""
    check_overrides(file, list(map(str, words)))
    for key, _, value in (str(word).lstrip("+~").partition("=") for word in words):
        if key.startswith("paths") or key.rpartition(".")[2] in WRITTEN or address_of(key, value):
            raise ConfigError(f"{file}: {key}={value} is a place; give it on the command line.")


def _levels(file: Path, factor: str, levels: Any) -> dict[str, tuple[str, ...]]:  # noqa: ANN401
    if not isinstance(levels, dict) or not levels:
        raise ConfigError(f"{file}: factors.{factor} is no mapping of levels to words.")
    for level in levels:  # a part of a folder's name
        if not re.fullmatch(r"\w[\w.-]*", str(level)):
            raise ConfigError(f"{file}: factors.{factor}: {level!r} is no plain word.")
    return {
        str(level): tuple(words) if isinstance(words, list) else (str(words),)
        for level, words in levels.items()
    }


def cells_of(
    comparison: Comparison, command: str, words: Sequence[str], search_path: Sequence[str] = ()
) -> list[Cell]:
    """Return all cells of a comparison, done by ``command``; Hydra must be initialised.

    ``words`` are those that all cells share, ``fixed`` among them; ``search_path`` is the word
    that says where options from elsewhere are, which is of this machine and no word of a cell.

    Raises:
        ConfigError: If the words of a cell cannot work.
    """
    chosen = [(levels, (*words, *own)) for levels, own in comparison.combinations()]
    configs = checked_jobs(command, [(*search_path, *together) for _, together in chosen])
    cells = []
    for (levels, together), config in zip(chosen, configs, strict=True):
        identity = identity_of(config)
        name = f"{'-'.join(levels.values())}-{identity[:8]}"
        cells.append(Cell(levels, together, identity, comparison.folder / CELLS / name))
    return cells


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
) -> list[list[str]]:
    """Write the list of all cells, and return the words of those that are not finished.

    Args:
        folder: Of the comparison.
        command: Primary config of a cell; Hydra must be initialised.
        words: Those that all cells share.
        only: Patterns of the names of cells that are to be run, as a shell has them; none: all.
        search_path: ``hydra.searchpath=…``, if it was given.

    Raises:
        ConfigError: If a pattern fits no cell.
    """
    cells = cells_of(read_comparison(folder), command, words, search_path)
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
    meant = [cell for cell in cells if _is_meant(cell, only)]
    missing = [cell for cell in meant if not (cell.folder / CELL).is_file()]
    for pattern in only:
        if not any(_is_meant(cell, [pattern]) for cell in cells):
            names = ", ".join("-".join(cell.levels.values()) for cell in cells)
            raise ConfigError(f"cells={pattern} fits no cell. There are: {names}.")
    logger.info("%d cells, of which %d are to be run", len(cells), len(missing))
    for cell in missing:
        forget(cell.folder)
    return [[*cell.words, f"hydra.sweep.subdir={cell.folder.name}"] for cell in missing]


def _is_meant(cell: Cell, only: Sequence[str]) -> bool:
    name = "-".join(cell.levels.values())
    return not only or any(fnmatchcase(name, pattern) for pattern in only)
