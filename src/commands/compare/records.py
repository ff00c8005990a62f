"""The cells of a comparison that are finished, read from what they have left."""

import csv
import itertools
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from src.app.config.options import key_of
from src.app.results import read_results
from src.app.sweeps.cell_files import CELL, CELLS
from src.app.sweeps.cells import is_place
from src.app.sweeps.comparison import Comparison
from src.commands.compare.outcome import Finished, scored
from src.core.errors import DataError, ExemplarError


def planned_cells(comparison: Comparison) -> list[Mapping[str, Any]]:
    """Return the cells of the last start that the file still has, with the words they had then.

    Raises:
        DataError: If their list is damaged.
    """
    index = comparison.folder / CELLS / f"{CELLS}.json"
    try:
        rows = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else []
        known = {tuple(row["levels"].items()): row for row in rows}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{index} is damaged; start the comparison again: it is written anew."
        ) from error
    given = {key_of(word) for word in comparison.fixed}
    found = []
    for levels, own in comparison.combinations():
        row = known.get(tuple(levels.items()))
        words = row["words"] if row else []
        shared = words[: len(words) - len(own)]
        says = [word for word in shared if word in comparison.fixed or not is_place(word, given)]
        if row and words[len(shared) :] == own and {*says} == {*comparison.fixed}:
            found.append(row)
    return found


def finished_cells(
    folder: Path, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[Finished], dict[Path, Exception]]:
    """Return the cells that are finished, and of those with damaged files what is wrong."""
    finished: list[Finished] = []
    damaged: dict[Path, Exception] = {}
    for row in rows:
        cell = folder / CELLS / row["folder"]
        if (cell / CELL).is_file():
            try:
                finished.append(_read(cell, row))
            except (
                ArithmeticError,
                AttributeError,
                OSError,
                ExemplarError,
                LookupError,
                RecursionError,
                TypeError,
                ValueError,
                csv.Error,
            ) as error:
                damaged[cell] = error
    return finished, damaged


def _read(cell: Path, row: Mapping[str, Any]) -> Finished:
    """Return a finished cell; an error of some kind if a file is not what it should be."""
    cost = json.loads((cell / CELL).read_text(encoding="utf-8"))
    one = Finished(cell, row["levels"], row["words"], cost, read_results(cell))
    _ = one.machine, one.wall_seconds, [*as_rows([one])]
    _ = one.cost["steps"] / 1, one.cost["flops"] / 1, one.record["parameters"] / 1
    for name, board in one.record["benchmarks"].items():
        for metric, score in itertools.product(scored(one)[name], board["restored"].values()):
            _ = score[metric] is None or math.isfinite(score[metric])
            one.at(math.inf, name, metric)
    return one


def missing_cells(
    comparison: Comparison, rows: Sequence[Mapping[str, Any]], done: Collection[str]
) -> list[str]:
    """Return the cells that are not finished, those after them that came since the last start."""
    known = [row["levels"] for row in rows]
    new = [levels for levels, _ in comparison.combinations() if levels not in known]
    begun = [row["folder"] for row in rows if row["folder"] not in done]
    return [*begun, *("-".join(levels.values()) for levels in new)]


def as_rows(finished: Sequence[Finished]) -> Iterator[list[object]]:
    """Yield heads, and a line a cell, of ``cells.csv``."""
    every = (scored(one).items() for one in finished)  # a factor may change what is scored
    scores = list(dict.fromkeys((name, m) for of in every for name, ms in of for m in ms))
    yield [
        "cell",
        *finished[0].levels,
        *(" ".join(score) for score in scores),
        "parameters",
        "flops",
        "seconds_a_step",
        "peak_gpu_memory_mib",
        "training_seconds",
        "command",
    ]
    for one in finished:
        cost = one.cost
        yield [
            one.folder.name,
            *one.levels.values(),
            *(one.score(*score) if score[0] in scored(one) else "" for score in scores),
            one.record["parameters"],
            cost["flops"],
            cost["seconds_a_step"],
            cost["training"]["peak_gpu_memory_mib"],
            cost["training"]["wall_seconds"],
            one.command,
        ]
