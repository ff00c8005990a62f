"""Scores for people and for programs: a table, results.json and scores.csv."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from src.metrics.scoreboard import Scoreboard
from src.runtime.run_folder import write_json

SCHEMA = 1
_NAMES = {"psnr": "PSNR", "ssim": "SSIM"}
_DIGITS = {"psnr": 2, "ssim": 4}


def score_table(boards: Mapping[str, Scoreboard], protocol: str) -> Table:
    """Return a table of each image and the mean: input, restored, gain; PSNR in dB."""
    table = Table(title=f"Protocol {protocol}", title_justify="left", box=box.SIMPLE_HEAD)
    metrics = list(next(iter(next(iter(boards.values())).restored.values())))
    table.add_column("image", overflow="fold")
    for metric in metrics:
        name = _NAMES.get(metric, metric)
        for column in (f"{name} in", f"{name} out", "gain"):
            table.add_column(column, justify="right", no_wrap=True)
    for benchmark, board in boards.items():
        for key in board.restored:
            table.add_row(key, *_cells(metrics, board.baseline[key], board.restored[key]))
        means = board.means()
        before = {metric: means[f"{metric}_input"] for metric in metrics}
        title = f"{benchmark}, mean of {len(board.restored)}"
        table.add_row(title, *_cells(metrics, before, means), style="bold", end_section=True)
    return table


def write_results(folder: Path, boards: Mapping[str, Scoreboard], about: dict[str, Any]) -> None:
    """Write ``results.json`` (means, per-image scores and ``about``) and ``scores.csv``.

    Args:
        folder: Made when missing.
        boards: Benchmark → scores.
        about: Checkpoint, protocol, inference, versions, hardware.
    """
    folder.mkdir(parents=True, exist_ok=True)
    benchmarks = {
        name: {
            "images": len(board.restored),
            "mean": board.means(),
            "restored": board.restored,
            "input": board.baseline,
        }
        for name, board in boards.items()
    }
    write_json(folder / "results.json", {"schema": SCHEMA, **about, "benchmarks": benchmarks})
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["benchmark", "image", "metric", "input", "restored"])
        for name, board in boards.items():
            for key, scores in board.restored.items():
                for metric, score in scores.items():
                    writer.writerow([name, key, metric, board.baseline[key][metric], score])


def _cells(
    metrics: list[str], before: Mapping[str, float], after: Mapping[str, float]
) -> list[str]:
    cells = []
    for metric in metrics:
        digits = _DIGITS.get(metric, 4)
        cells += [
            f"{before[metric]:.{digits}f}",
            f"{after[metric]:.{digits}f}",
            f"{after[metric] - before[metric]:+.{digits}f}",
        ]
    return cells
