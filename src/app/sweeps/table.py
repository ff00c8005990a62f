"""The table of a sweep: what varied and what came out, job by job and over seeds."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.app.config.options import GLOBAL_GROUPS
from src.app.sweeps.comparison import COMPARISON
from src.app.sweeps.sweep import DONE, ELSEWHERE, PRUNED, JobResult, read_results, stamps
from src.core.errors import ConfigError, ExemplarError
from src.core.files import write_csv, write_json

if TYPE_CHECKING:  # it imports rich, which every start would wait for
    from src.core.console import FoldingTable

CHOSEN_ON = "Scores on images that choose best.ckpt; for others: python -m src.evaluate sets=…"
"""What is said of the scores of validations."""
_OF_SEARCH = "callbacks.report_to_study."  # what a search tells its trials beside their values


def write_results(sweep: Path, results: Sequence[JobResult]) -> None:
    """Write ``sweep_results.json`` and ``sweep_results.csv`` into the folder of the sweep."""
    kept = [{k: v for k, v in asdict(result).items() if k != "config"} for result in results]
    write_json(sweep / "sweep_results.json", kept)
    varied = varied_keys(results)
    rest = ["status", "metric", "score", "seconds", "message", "folder"]
    rows: list[list[object]] = [["job", *varied, *rest]]
    for result in results:
        values = [result.value(key) for key in varied]
        rows.append([result.number, *values, *(getattr(result, name) for name in rest)])
    write_csv(sweep / "sweep_results.csv", rows)
    seeds = over_seeds(results)
    if seeds:
        write_csv(sweep / "sweep_seeds.csv", [[*seeds[0]], *([*row.values()] for row in seeds)])


def over_seeds(results: Sequence[JobResult]) -> list[dict[str, Any]]:
    """Return mean, deviation and standard error of scores that only ``seed`` tells apart.

    Empty where no two scores do.
    """
    others = [key for key in varied_keys(results) if key not in {"seed", "data.seed"}]
    groups: dict[tuple[str, ...], list[JobResult]] = {}
    for result in results:
        if result.status == DONE and result.score is not None:
            alike = (result.metric, *(result.value(key) for key in others))
            groups.setdefault(alike, []).append(result)
    rows = []
    for (metric, *values), jobs in groups.items():
        seeds = {job.value("seed") for job in jobs}
        scores = [job.score for job in jobs if job.score is not None]
        if len(seeds) == len(scores) > 1:
            row = {**dict(zip(others, values, strict=True)), "seeds": len(seeds), "metric": metric}
            spread = statistics.stdev(scores)
            row |= {"mean": statistics.fmean(scores), "standard_deviation": spread}
            rows.append({**row, "standard_error": spread / math.sqrt(len(scores))})
    return rows


def table_of_seeds(rows: Sequence[Mapping[str, Any]]) -> "FoldingTable":
    """Return the table of what ``over_seeds`` gives."""
    from src.core.console import FoldingTable

    keys = [key for key in rows[0] if not key.startswith(("mean", "standard_"))]
    table = FoldingTable(keys, ["mean"], title="Over seeds: mean ± standard error")
    for row in rows:
        cells = (_short(str(row[key])) for key in keys)
        table.add_row(*cells, f"{row['mean']:.4f} ± {row['standard_error']:.4f}")
    return table


def table_of(results: Sequence[JobResult]) -> "FoldingTable":
    """Return a table of what varied and what came out; the best score is bold, if one is best."""
    from src.core.console import FoldingTable

    varied = varied_keys(results)
    names = {result.metric for result in results if result.score is not None}
    score = names.pop() if len(names) == 1 else ""
    table = FoldingTable(["job", *varied], [score or "score", "time"], remark="")
    best = _best(results)
    for result in results:
        ended = result.status if not result.message else f"{result.status}: {result.message}"
        done = result.status == DONE
        table.add_row(
            Path(result.folder).name,
            *(_short(result.value(key)) for key in varied),
            "" if result.score is None else f"{result.score:.4f}",
            f"{result.seconds:.0f} s",
            "" if done else ended,
            style="bold" if result.score == best else "" if done else "red",
        )
    return table


def _best(results: Sequence[JobResult]) -> float:
    """Return the best score; NaN where there is none, or jobs do not agree on what is better."""
    scores = [result.score for result in results if result.score is not None]
    directions = {result.higher_is_better for result in results if result.score is not None}
    if len(directions) != 1 or None in directions:
        return math.nan
    return max(scores) if True in directions else min(scores)


def varied_keys(results: Sequence[JobResult]) -> list[str]:
    """Return the keys whose values differ between jobs, in the order in which they were given.

    First those of the overrides, then those of the configurations that no override explains: a job
    that goes on may be older than a file that it was composed from.
    """
    known = [result for result in results if result.overrides]  # a lost job may have had any
    keys = dict.fromkeys(key for result in known for key in result.settings)
    told = [key for key in keys if not key.startswith(_OF_SEARCH)]
    given = [key for key in told if len({result.settings.get(key) for result in known}) > 1]
    composed = [result for result in known if result.config]
    paths = dict.fromkeys(path for result in composed for path in result.config)
    differ = [path for path in paths if len({str(r.config.get(path)) for r in composed}) > 1]
    return [*given, *(path for path in differ if not _explained(path, given))]


def _explained(path: str, given: Sequence[str]) -> bool:
    """Say whether a key of ``given``, or the group that it chooses, decides ``path``."""
    groups = [key.replace("/", ".") for key in given]
    return path.startswith(_OF_SEARCH.removesuffix(".")) or any(
        group in (*GLOBAL_GROUPS, "task") or path == group or path.startswith(f"{group}.")
        for group in groups
    )


def _short(value: str) -> str:
    """Return a drawn number with four digits, anything else as it is."""
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return value


def _left_in(sweep: Path) -> list[JobResult]:
    return read_results(sweep) if sweep.is_dir() else []


@contextmanager
def concluded(sweep: Path) -> Iterator[None]:
    """Run the sweep in a folder; write its results and print its table in whatever way it ends.

    Of a sweep that is refused before its first job nothing is written: all is of an earlier start.
    So is a cell of a comparison that this start has left alone, however it had ended; the jobs of
    other sweeps, which have numbers, are all asked for by each start.

    Raises:
        ExemplarError: If a job has failed, naming all that have.
    """
    before, begun, refused = _left_in(sweep), stamps(sweep), False
    try:
        yield
    except ConfigError:
        refused = _left_in(sweep) == before
        raise
    finally:
        results = _left_in(sweep)
        if results and not refused:
            from src.core.console import make_console

            write_results(sweep, results)
            console = make_console(stderr=True)
            console.print(f"Sweep       {sweep}")
            console.print(table_of(results))
            if seeds := over_seeds(results):
                console.print(table_of_seeds(seeds))
            is_comparison = (sweep.parent / COMPARISON).is_file()  # scored by its last weights
            if not is_comparison and any(one.metric.startswith("val/") for one in results):
                console.print(CHOSEN_ON)
    bad = [
        Path(result.folder).name
        for result in results
        if result.status not in {DONE, PRUNED, ELSEWHERE}
    ]
    alone = {name for name, stamp in stamps(sweep).items() if begun.get(name) == stamp}
    if failed := [name for name in bad if name.isdigit() or name not in alone]:
        raise ExemplarError(
            f"{len(failed)} of {len(results)} jobs did not finish: {', '.join(failed)}. "
            f"See {sweep}/sweep_results.json and the folders of these jobs."
        )
