"""The cells of a comparison that are finished, read from what they have left."""

import csv
import json
import math
import statistics
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from src.app.config.options import key_of
from src.app.results import read_results
from src.app.sweeps.cell_files import CELL, CELLS
from src.app.sweeps.cells import is_place
from src.app.sweeps.comparison import Comparison
from src.commands.compare.outcome import Finished, grouped, scored
from src.core.errors import DataError, ExemplarError

LARGEST = 1e18
"""Above every score, time and number of operations."""


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
    comparison: Comparison, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[Finished], dict[Path, Exception]]:
    """Return the cells that are finished, and of those that do not count what is wrong.

    These have damaged files, or other sets, metrics or images than most of those that they would
    be compared with.
    """
    finished: list[Finished] = []
    damaged: dict[Path, Exception] = {}
    for row in rows:
        cell = comparison.folder / CELLS / row["folder"]
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
    for blocks in grouped(finished, list(comparison.reference)).values():
        alike = [one for cells in blocks.values() for one in cells.values()]
        most = Counter(map(_scored_on, alike)).most_common(1)[0][0]
        for one in alike:
            if _scored_on(one) != most:
                finished.remove(one)
                damaged[one.folder] = DataError("it has not the sets, images and metrics of most")
    return finished, damaged


def _scored_on(one: Finished) -> tuple[object, ...]:
    """Return names of sets, their images and metrics."""
    boards = one.record["benchmarks"]
    return tuple(
        (name, *sorted(boards[name]["restored"]), *metrics)
        for name, metrics in sorted(scored(one).items())
    )


def _read(cell: Path, row: Mapping[str, Any]) -> Finished:
    """Return a finished cell; an error of some kind if a file is not what it should be."""
    cost = json.loads((cell / CELL).read_text(encoding="utf-8"))
    one = Finished(cell, row["levels"], row["words"], cost, read_results(cell))
    _ = one.machine, [*as_rows([one])]
    _number(one.wall_seconds, least=0)
    for value in (one.cost["steps"], one.cost["flops"], one.record["parameters"]):
        _number(value, least=1)
    if not isinstance(one.record["protocol"], dict):
        raise TypeError("protocol is no mapping")
    for name, board in one.record["benchmarks"].items():
        if board["images"] != len(board["restored"]) or not isinstance(board["pixels"], dict):
            raise ValueError(f"{name} has not the images that it says")
        for metric in scored(one)[name]:
            one.at(math.inf, name, metric)
            _check_scores([each[metric] for each in board["restored"].values()], board, metric)
    return one


def _check_scores(scores: Sequence[object], board: Mapping[str, Any], metric: str) -> None:
    """Refuse scores that are no numbers, or not those of which the mean is.

    Raises:
        ValueError: Saying which.
    """
    known = [_number(score) for score in scores if score is not None]
    mean = board["mean"][metric]
    if len(known) < len(scores):  # a diverged training
        _ = mean is None or _number(mean)
    elif not math.isclose(_number(mean), statistics.fmean(known), rel_tol=1e-6, abs_tol=1e-9):
        raise ValueError(f"{metric}={mean} is not the mean of its images")


def _number(value: object, least: float = -LARGEST) -> float:
    """Return a number that a score or a cost can be; ValueError if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")  # noqa: TRY004  all that is wrong is one kind
    if not least <= value <= LARGEST:
        raise ValueError(f"{value:g} is not possible")
    return float(value)


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
