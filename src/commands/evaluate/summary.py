"""All combinations of an evaluation side by side: a table, summary.json and summary.csv."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.app.results import METRIC_DIGITS, METRIC_NAMES, SCHEMA, finite
from src.commands.evaluate.job import Scored
from src.commands.evaluate.plan import Combination
from src.core.console import FoldingTable
from src.core.errors import ExemplarError
from src.core.files import write_json

_COLUMNS = ("name", "benchmark", "condition", "images")


@dataclass(frozen=True)
class Outcome:
    """A combination, and its scores or what stopped it."""

    combination: Combination
    result: Scored | ExemplarError

    def score(self) -> float:
        """Return the score that sweeps look at; NaN where there is none."""
        return self.result.first_score() if isinstance(self.result, Scored) else math.nan

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one row a benchmark: what was scored, means and standard errors, or the error."""
        condition = dict(self.combination.condition)
        if not isinstance(self.result, Scored):
            folder = self.combination.images
            name = self.combination.name or "–"
            row = {"name": name, "benchmark": folder.name if folder else "–"}
            yield {**row, "condition": condition, "images": 0, "error": str(self.result)}
            return
        for benchmark, board in self.result.boards.items():
            yield {
                "name": self.result.about["name"],
                "benchmark": benchmark,
                "condition": condition,
                "images": len(board.restored),
                "mean": board.means(),
                "standard_error": board.standard_errors(),
                "protocol": self.result.about["protocol_in_words"],
                "folder": self.result.folder.name,
            }


def summary_table(outcomes: Sequence[Outcome]) -> FoldingTable:
    """Return one row a combination: mean ± standard error of each score."""
    rows = [row for outcome in outcomes for row in outcome.rows()]
    metrics = [metric for metric in _metrics(rows) if not metric.endswith("_input")]
    numbers = [METRIC_NAMES.get(metric, metric) for metric in metrics] or ["score"]
    table = FoldingTable(["model", "images", "condition"], numbers)
    for row in rows:
        condition = " ".join(f"{key}={value}" for key, value in row["condition"].items())
        what = (row["name"], f"{row['benchmark']} ({row['images']})", condition)
        if "error" in row:
            table.add_row(*what, "failed", style="red")
        else:
            table.add_row(*what, *(_cell(row, metric) for metric in metrics))
    return table


def write_summary(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Write ``summary.json`` and ``summary.csv``, failures included."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for outcome in outcomes for row in outcome.rows()]
    write_json(folder / "summary.json", finite({"schema": SCHEMA, "combinations": rows}))
    with (folder / "summary.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        metrics = _metrics(rows)
        errors = [f"{metric}_standard_error" for metric in metrics]
        writer.writerow([*_COLUMNS, *metrics, *errors, "error"])
        for row in rows:
            condition = " ".join(f"{key}={value}" for key, value in row["condition"].items())
            scores = [row.get("mean", {}).get(metric) for metric in metrics]
            spread = [row.get("standard_error", {}).get(metric) for metric in metrics]
            what = (row["name"], row["benchmark"], condition, row["images"])
            writer.writerow([*what, *scores, *spread, row.get("error")])


def refuse_failures(outcomes: Sequence[Outcome], folder: Path) -> None:
    """Raise if a combination failed, so that the command does not end as if all were well.

    Raises:
        ExemplarError: Naming each and its reason.
    """
    failed = [outcome for outcome in outcomes if not isinstance(outcome.result, Scored)]
    if failed:
        reasons = "".join(f"\n  {item.combination}: {item.result}" for item in failed)
        raise ExemplarError(
            f"{len(failed)} of {len(outcomes)} combinations failed; the others are in {folder}."
            + reasons
        )


def _metrics(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(metric for row in rows for metric in row.get("mean", {})))


def _cell(row: dict[str, Any], metric: str) -> str:
    digits = METRIC_DIGITS.get(metric, 4)
    value, error = row["mean"].get(metric, math.nan), row["standard_error"].get(metric, math.nan)
    spread = "" if math.isnan(error) else f" ± {error:.{digits}f}"
    return f"{value:.{digits}f}{spread}"
