"""Scores for people and for programs: a table, results.json and scores.csv."""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from src.core.console import FoldingTable
from src.core.errors import DataError
from src.core.files import write_csv, write_json
from src.core.redact import readable_texts
from src.data.prepared import identify
from src.metrics.protocol import Protocol
from src.metrics.scoreboard import Scoreboard

SCHEMA = 2
RESULTS = "results.json"
METRIC_NAMES = {"psnr": "PSNR", "ssim": "SSIM", "ssim_uniform": "SSIM 8×8", "psnr_b": "PSNR-B"}
METRIC_DIGITS = {"psnr": 2, "ssim": 4, "psnr_b": 2}


def score_table(boards: Mapping[str, Scoreboard], protocol: str) -> FoldingTable:
    """Return a table of each image and the mean: input, if known, restored, gain; PSNR in dB."""
    metrics = list(next(iter(next(iter(boards.values())).restored.values())))
    names = [METRIC_NAMES.get(metric, metric) for metric in metrics]
    known = any(board.baseline for board in boards.values())
    columns = ("in", "out", "gain") if known else ("",)
    numbers = [f"{name} {column}".rstrip() for name in names for column in columns]
    table = FoldingTable(["image"], numbers, title=f"Protocol {protocol}")
    for benchmark, board in boards.items():
        for key in board.restored:
            table.add_row(key, *_cells(metrics, board.baseline.get(key), board.restored[key]))
        means = board.means()
        before = {metric: means[f"{metric}_input"] for metric in metrics} if known else None
        title = f"{benchmark}, mean of {len(board.restored)}"
        table.add_row(title, *_cells(metrics, before, means), style="bold", ends_section=True)
    return table


def write_results(
    folder: Path,
    boards: Mapping[str, Scoreboard],
    about: dict[str, Any],
    *,
    pixels: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    spread: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> None:
    """Write ``results.json`` (means, standard errors, per-image scores, ``about``), ``scores.csv``.

    The JSON is strict: what is infinite or undefined is null, and ``notes`` say why.

    Args:
        folder: Made when missing.
        boards: Benchmark → scores.
        about: Checkpoint, protocol, inference, versions, hardware.
        pixels: Benchmark → key → fingerprint of the image.
        spread: Benchmark → metric → standard deviation of the mean over realisations of the noise.
    """
    benchmarks = {
        name: {
            "images": len(board.restored),
            "mean": board.means(),
            "standard_error": board.standard_errors(),
            "over_realisations": spread.get(name),
            "notes": _notes(board),
            "set": identify(name, pixels[name]) if name in pixels else None,
            "pixels": pixels.get(name),
            "tile": board.tiles,
            "restored": board.restored,
            "input": board.baseline,
        }
        for name, board in boards.items()
    }
    write_json(folder / RESULTS, finite({"schema": SCHEMA, **about, "benchmarks": benchmarks}))
    rows: list[list[object]] = [
        [name, key, metric, board.baseline.get(key, {}).get(metric), score]
        for name, board in boards.items()
        for key, scores in board.restored.items()
        for metric, score in scores.items()
    ]
    write_csv(folder / "scores.csv", [["benchmark", "image", "metric", "input", "restored"], *rows])


def read_results(path: Path) -> dict[str, Any]:
    """Return the record in a ``results.json``, or in the folder that holds one.

    Raises:
        DataError: If it is not there, no JSON, or no record of this project.
    """
    file = path / RESULTS if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
        record = readable_texts(json.loads(text, parse_constant=_no_number, parse_int=_whole))
        readable = record["schema"] <= SCHEMA and isinstance(record["benchmarks"], dict)
    except OSError as error:
        raise DataError(
            f"{file}: {error.strerror}. Make it with python -m src.evaluate."
        ) from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(
            f"{file}: not a record that python -m src.evaluate writes ({type(error).__name__}: "
            f"{error}). Give its {RESULTS}."
        ) from error
    if not readable:
        raise DataError(f"{file}: schema {record['schema']}; this version reads up to {SCHEMA}.")
    return dict(record) | _protocol_of_today(record.get("protocol"))


def _protocol_of_today(recorded: object) -> dict[str, Any]:
    """Return a protocol with the steps that came since it was recorded, as what was done then."""
    since = {each.name: each.default for each in fields(Protocol) if each.default is not MISSING}
    return {"protocol": since | recorded} if isinstance(recorded, dict) and recorded else {}


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _whole(digits: str) -> int:
    if len(digits) > 300:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def finite(node: Any) -> Any:  # noqa: ANN401
    """Return ``node`` with null for every number that JSON has no word for."""
    if isinstance(node, Mapping):
        return {key: finite(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [finite(value) for value in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node


def _notes(board: Scoreboard) -> list[str]:
    """Say for each score that is no number which images it comes from."""
    notes = []
    for which, scores in (("restored", board.restored), ("input", board.baseline)):
        for metric in next(iter(scores.values()), {}):
            odd = [key for key, row in scores.items() if not math.isfinite(row[metric])]
            if odd:
                equal = all(scores[key][metric] == math.inf for key in odd)
                reason = "equal to the target, so infinite" if equal else "not a finite number"
                notes.append(f"{metric} of {which} is null for {', '.join(odd)}: {reason}")
    return notes


def _cells(
    metrics: list[str], before: Mapping[str, float] | None, after: Mapping[str, float]
) -> list[str]:
    cells = []
    for metric in metrics:
        digits = METRIC_DIGITS.get(metric, 4)
        cell = f"{after[metric]:.{digits}f}"
        if before is None:
            cells.append(cell)
        else:
            same = after[metric] == before[metric]  # inf - inf is no number
            gain = f"{0.0 if same else after[metric] - before[metric]:+.{digits}f}"
            cells += [f"{before[metric]:.{digits}f}", cell, gain]
    return cells
