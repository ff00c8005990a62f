"""All combinations of an evaluation side by side: a table, summary.json and summary.csv."""

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.app.results import METRIC_DIGITS, METRIC_NAMES, SCHEMA, finite
from src.commands.evaluate.plan import Combination
from src.commands.evaluate.record import Scored
from src.core.console import FoldingTable
from src.core.errors import ExemplarError
from src.core.files import write_csv, write_json
from src.data.prepared import doubt

SPREAD = "±  standard error: over the images of a set; of a mean of seeds, over the seeds"
"""What the numbers behind ± of ``summary_table`` are."""

_COLUMNS = ("name", "benchmark", "condition", "images")


@dataclass(frozen=True)
class CombinationResult:
    """A combination, and its scores or what stopped it."""

    combination: Combination
    outcome: Scored | ExemplarError

    def score(self) -> float:
        """Return the score that sweeps look at; NaN where there is none."""
        return self.outcome.first_score() if isinstance(self.outcome, Scored) else math.nan

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one row a benchmark: what was scored, means and standard errors, or the error."""
        condition = dict(self.combination.condition)
        if not isinstance(self.outcome, Scored):
            folder = self.combination.images
            name = self.combination.name or "–"
            row = {"name": name, "benchmark": folder.name if folder else "–"}
            yield {**row, "condition": condition, "images": 0, "error": str(self.outcome)}
            return
        for benchmark, board in self.outcome.boards.items():
            yield {
                "name": self.outcome.about["name"],
                "benchmark": benchmark,
                "condition": condition,
                "images": len(board.restored),
                "mean": board.means(),
                "standard_error": board.standard_errors(),
                "protocol": self.outcome.about["protocol_in_words"],
                "folder": self.outcome.folder.name,
                "doubt": doubt(benchmark, self.outcome.sets.get(benchmark)),
            }


def _rows_of(results: Sequence[CombinationResult]) -> list[dict[str, Any]]:
    """Return the rows of all combinations, and a row more for those that differ in seed alone."""
    rows = [row for result in results for row in result.rows()]
    alike: dict[str, dict[int, dict[str, Any]]] = {}
    for result in results:
        about = result.outcome.about if isinstance(result.outcome, Scored) else {}
        training = dict(about.get("training") or {})
        seed = training.pop("seed", None)
        training["data"] = {**training.get("data", {}), "seed": None}  # which is the run's
        for row in result.rows() if seed is not None else ():
            what = [row["benchmark"], about["config_sha256"], about["step"], training]
            alike.setdefault(json.dumps(what, sort_keys=True), {})[seed] = row
    return rows + [_over_seeds(by_seed) for by_seed in alike.values() if len(by_seed) > 1]


def _over_seeds(by_seed: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """Return the row of runs that differ in their seed alone: mean ± standard error over seeds."""
    first, count = next(iter(by_seed.values())), len(by_seed)
    means = {m: [row["mean"][m] for row in by_seed.values()] for m in first["mean"]}
    return {
        **first,
        "name": f"mean of {count} seeds",
        "seeds": sorted(by_seed),
        "mean": {metric: statistics.fmean(values) for metric, values in means.items()},
        "standard_error": {
            metric: statistics.stdev(values) / math.sqrt(count) for metric, values in means.items()
        },
        "folder": None,
    }


def summary_table(results: Sequence[CombinationResult]) -> FoldingTable:
    """Return one row a combination, mean ± standard error of each score, and one over seeds."""
    rows = _rows_of(results)
    metrics = [metric for metric in _metrics(rows) if not metric.endswith("_input")]
    numbers = [METRIC_NAMES.get(metric, metric) for metric in metrics] or ["score"]
    table = FoldingTable(["model", "images", "condition"], numbers)
    for row in rows:
        what = (row["name"], f"{row['benchmark']} ({row['images']})", _condition(row))
        if "error" in row:
            table.add_row(*what, "failed", style="red")
        else:
            table.add_row(*what, *(_cell(row, metric) for metric in metrics))
    return table


def write_summary(folder: Path, results: Sequence[CombinationResult]) -> None:
    """Write ``summary.json`` and ``summary.csv``, failures included."""
    rows = _rows_of(results)
    write_json(folder / "summary.json", finite({"schema": SCHEMA, "combinations": rows}))
    metrics = _metrics(rows)
    errors = [f"{metric}_standard_error" for metric in metrics]
    table: list[list[object]] = [[*_COLUMNS, *metrics, *errors, "error", "doubt"]]
    for row in rows:
        scores = [row.get("mean", {}).get(metric) for metric in metrics]
        spread = [row.get("standard_error", {}).get(metric) for metric in metrics]
        what = (row["name"], row["benchmark"], _condition(row), row["images"])
        table.append([*what, *scores, *spread, row.get("error"), row.get("doubt")])
    write_csv(folder / "summary.csv", table)


def refuse_failures(results: Sequence[CombinationResult], folder: Path) -> None:
    """Raise if a combination failed, so that the command does not end as if all were well.

    Raises:
        ExemplarError: Naming each and its reason.
    """
    failed = [result for result in results if not isinstance(result.outcome, Scored)]
    if failed:
        reasons = "".join(f"\n  {item.combination}: {item.outcome}" for item in failed)
        raise ExemplarError(
            f"{len(failed)} of {len(results)} combinations failed; the others are in {folder}."
            + reasons
        )


def _metrics(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(metric for row in rows for metric in row.get("mean", {})))


def _condition(row: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in row["condition"].items())


def _cell(row: dict[str, Any], metric: str) -> str:
    digits = METRIC_DIGITS.get(metric, 4)
    value, error = row["mean"].get(metric, math.nan), row["standard_error"].get(metric, math.nan)
    spread = "" if math.isnan(error) else f" ± {error:.{digits}f}"
    return f"{value:.{digits}f}{spread}"
