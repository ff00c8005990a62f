"""One HTML page of evaluations: means, pictures side by side, scores of every image."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from src.app.results import METRIC_DIGITS, METRIC_NAMES
from src.commands.report.comparison import Comparison, compare
from src.commands.report.groups import Group, group_records
from src.commands.report.pictures import busiest, data_uri, read_parts
from src.commands.report.records import Record
from src.commands.report.rendering import render


def write_page(page: Path, records: Sequence[Record], title: str, images: int, crop: int) -> None:
    """Write one self-contained HTML file.

    Args:
        page: The file.
        records: What is shown; those of one image set, protocol and degradation stand together.
        title: Heading.
        images: Most pictures of each image set.
        crop: Side of the part that is shown, in pixels.
    """
    sections = [_section(group, images, crop) for group in group_records(records)]
    about = [_about(record) for record in records]
    page.write_text(
        render("page.html", title=title, sections=sections, about=about, names=METRIC_NAMES),
        "utf-8",
    )


def _section(group: Group, images: int, crop: int) -> dict[str, Any]:
    first = group.records[0]
    metrics = list(next(iter(first.benchmarks[group.benchmark]["restored"].values())))
    return {
        "benchmark": group.benchmark,
        "count": first.benchmarks[group.benchmark]["images"],
        "condition": first.condition,
        "protocol": first.content.get("protocol_in_words", first.protocol),
        "metrics": [(metric, METRIC_NAMES.get(metric, metric)) for metric in metrics],
        "means": _means(group, metrics),
        "scores": _scores(group, metrics),
        "columns": list(group.scores),
        "shots": _shots(group, metrics, images, crop),
        "pairs": _pairs(group),
    }


def _means(group: Group, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row a method: mean and standard error of each metric, the two best marked."""
    first = group.records[0].benchmarks[group.benchmark]
    names = {metric: f"{metric}_input" for metric in metrics}
    rows = [("input", {metric: _mean(first, names[metric]) for metric in metrics})]
    for record in group.records:
        board = record.benchmarks[group.benchmark]
        rows.append((record.name, {metric: _mean(board, metric) for metric in metrics}))
    best = {
        metric: sorted({row[metric]["text"] for _, row in rows}, key=_number, reverse=True)[:2]
        for metric in metrics
    }
    return [
        {
            "name": name,
            "cells": [
                {
                    **cells[metric],
                    "mark": best[metric].index(cells[metric]["text"]) + 1
                    if cells[metric]["text"] in best[metric] and len(group.records) > 1
                    else 0,
                }
                for metric in metrics
            ],
        }
        for name, cells in rows
    ]


def _mean(board: dict[str, Any], name: str) -> dict[str, str]:
    digits = METRIC_DIGITS.get(name.removesuffix("_input"), 4)
    error = board.get("standard_error", {}).get(name)
    spread = "" if error is None else f"± {error:.{digits}f}"
    return {"text": _text(board["mean"][name], digits), "spread": spread}


def _scores(group: Group, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row an image: the score of each method, metric after metric."""
    keys = list(group.scores["input"])
    return [
        {
            "key": key,
            "cells": [
                {
                    "text": _text(scores[key][metric], METRIC_DIGITS.get(metric, 4)),
                    "value": scores[key][metric],
                }
                for metric in metrics
                for scores in group.scores.values()
            ],
        }
        for key in keys
    ]


def _shots(group: Group, metrics: Sequence[str], images: int, crop: int) -> list[dict[str, Any]]:
    shots: list[dict[str, Any]] = []
    for key in group.scores["input"]:
        held = [read_parts(record, group.benchmark, key) for record in group.records]
        parts = [part for part in held if part is not None]
        if len(parts) != len(group.records) or len(shots) == images:
            continue
        window = busiest(parts[0]["target"], crop)
        layers = [("input", parts[0]["input"])]
        layers += [
            (record.name, part["restored"])
            for record, part in zip(group.records, parts, strict=True)
        ]
        shots.append(
            {
                "key": key,
                "window": window,
                "layers": [
                    {
                        "name": name,
                        "uri": data_uri(window.of(image)),
                        "score": _caption(group.scores[name][key], metrics),
                    }
                    for name, image in layers
                ]
                + [{"name": "target", "uri": data_uri(window.of(parts[0]["target"])), "score": ""}],
            }
        )
    return shots


def _caption(scores: dict[str, float | None], metrics: Sequence[str]) -> str:
    words = [_text(scores[metric], METRIC_DIGITS.get(metric, 4)) for metric in metrics]
    return " / ".join(words)


def _pairs(group: Group) -> list[tuple[str, str, list[Comparison]]]:
    """Return each later record against each earlier one."""
    return [
        (first.name, second.name, compare(first, second))
        for first, second in itertools.combinations(group.records, 2)
    ]


def _about(record: Record) -> dict[str, Any]:
    held = record.content
    return {
        "name": record.name,
        "rows": [
            ("scored", ", ".join(record.benchmarks) + f"; {record.condition}"),
            ("protocol", held.get("protocol_in_words", record.protocol)),
            ("command", held.get("command")),
            ("checkpoint", held.get("checkpoint")),
            ("inference", ", ".join(f"{k}={v}" for k, v in held["inference"].items())),
            ("commit", held["scored_by"].get("commit")),
            ("configuration", held.get("config_sha256")),
            ("date", held.get("date")),
            ("took", _took(held.get("took", {}))),
            ("hardware", _hardware(held["hardware"])),
        ],
    }


def _took(took: dict[str, Any]) -> str:
    if not took:
        return ""
    gpu = took.get("peak_gpu_memory_mib")
    words = [f"{took['wall_seconds']:.1f} s", f"{took['peak_memory_mib']:,.0f} MiB at the peak"]
    return ", ".join([*words, *([f"{gpu:,.0f} MiB on the GPU"] if gpu else [])])


def _hardware(held: dict[str, Any]) -> str:
    words = [held["processor"], f"{held['cores']} cores", f"{held['memory_gib']} GiB"]
    return ", ".join([*words, *held["gpus"], f"torch {held['torch']}", held["system"]])


def _text(value: float | None, digits: int) -> str:
    return "∞" if value is None else f"{value:.{digits}f}"


def _number(text: str) -> float:
    return math.inf if text == "∞" else float(text)
