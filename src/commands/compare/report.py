"""What came of a comparison, from what its cells have left."""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.app.results import METRIC_DIGITS, METRIC_NAMES, read_results
from src.app.sweeps.cells import CELL, CELLS, read_comparison
from src.core.console import make_console
from src.core.errors import DataError
from src.core.files import write_csv, write_text


@dataclass(frozen=True)
class Finished:
    """A cell that has been trained and scored."""

    folder: Path
    levels: Mapping[str, str]  # factor → level
    words: Sequence[str]  # of `src.train`
    cost: Mapping[str, Any]
    record: Mapping[str, Any]

    def score(self, benchmark: str, metric: str) -> float:
        """Return the mean over the images of a set."""
        return float(self.record["benchmarks"][benchmark]["mean"][metric])


def write_report(folder: Path) -> None:
    """Write ``table.md`` and ``cells.csv`` beside ``comparison.yaml``, and say what is missing.

    Raises:
        DataError: If a finished cell has files of another form.
    """
    try:
        _write_report(folder)
    except (AttributeError, LookupError, TypeError, ValueError, StopIteration) as error:
        raise DataError(
            f"{folder / CELLS}: the files of a finished cell are of another form "
            f"({type(error).__name__}: {error}). Remove that cell's folder: it is trained again."
        ) from error


def _write_report(folder: Path) -> None:
    console = make_console(stderr=True)
    index = folder / CELLS / f"{CELLS}.json"
    if not index.is_file():
        return
    rows = json.loads(index.read_text(encoding="utf-8"))
    finished = [
        _finished(folder / CELLS / row["folder"], row)
        for row in rows
        if (folder / CELLS / row["folder"] / CELL).is_file()
    ]
    missing = len(rows) - len(finished)
    console.print(f"Cells       {len(finished)} of {len(rows)} are finished")
    if not finished:
        return
    title = read_comparison(folder).title
    lines = [f"# {title}", "", *table(finished), ""]
    if missing:
        lines += [f"{missing} cells are not finished.", ""]
    write_text(folder / "table.md", "\n".join(lines))
    write_csv(folder / "cells.csv", list(_rows(finished)))
    console.print(f"Written     {folder / 'table.md'}")


def _finished(folder: Path, row: Mapping[str, Any]) -> Finished:
    cost = json.loads((folder / CELL).read_text(encoding="utf-8"))
    return Finished(folder, row["levels"], row["words"], cost, read_results(folder))


def _scores(finished: Sequence[Finished]) -> list[tuple[str, str]]:
    boards = finished[0].record["benchmarks"]
    return [
        (name, metric)
        for name, board in boards.items()
        for metric in next(iter(board["restored"].values()))
    ]


def digits(metric: str) -> int:
    """Return how many decimals a mean over seeds has: one more than a score."""
    return METRIC_DIGITS.get(metric, 3) + 1


def table(finished: Sequence[Finished]) -> list[str]:
    """Return the lines of a Markdown table: means over seeds of each combination of the rest."""
    scores = _scores(finished)
    factors = [factor for factor in finished[0].levels if factor != "seed"]
    heads = [
        *factors,
        "seeds",
        *(f"{name} {METRIC_NAMES.get(m, m)}" for name, m in scores),
        "parameters",
        "GFLOP",
        "ms a step",
    ]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    groups: dict[tuple[str, ...], list[Finished]] = {}
    for one in finished:
        groups.setdefault(tuple(one.levels[factor] for factor in factors), []).append(one)
    for levels, alike in sorted(groups.items()):
        means = [
            f"{statistics.fmean(one.score(name, metric) for one in alike):.{digits(metric)}f}"
            for name, metric in scores
        ]
        cost = alike[0].cost
        step = statistics.median(one.cost["seconds_a_step"] or 0 for one in alike)
        cells = [
            *levels,
            str(len(alike)),
            *means,
            f"{alike[0].record['parameters']:,}",
            f"{cost['flops'] / 1e9:.2f}",
            f"{1e3 * step:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _rows(finished: Sequence[Finished]) -> Iterator[list[object]]:
    scores = _scores(finished)
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
            *(one.score(*score) for score in scores),
            one.record["parameters"],
            cost["flops"],
            cost["seconds_a_step"],
            cost["training"]["peak_gpu_memory_mib"],
            cost["training"]["wall_seconds"],
            f"python -m src.train {' '.join(one.words)}",
        ]
