"""One HTML page of evaluations: means, pictures side by side, scores of every image."""

import base64
import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from src.app.results import METRIC_DIGITS, METRIC_NAMES
from src.commands.report.alike import Group, group_records
from src.commands.report.comparison import compare
from src.commands.report.records import Record
from src.commands.report.tables import render
from src.data.depth import Pixels
from src.data.image_io import read_image
from src.training.callbacks.pictures import picture_name

PARTS = ("input", "restored", "target")
"""What stands in a panel of ``src.evaluate``, from the left; the error is the fourth part."""

ATTENTION = "attention"
"""Folder beside results.json with pictures of where attention looks."""


def write_page(page: Path, records: Sequence[Record], title: str, images: int, crop: int) -> None:
    """Write one self-contained HTML file.

    What is of one image set, protocol and degradation stands together, with at most ``images``
    pictures, of each a part of ``crop`` pixels.
    """
    sections = [_section(group, images, crop) for group in group_records(records)]
    about = [_about(record) for record in records]
    looks = [look for record in records for look in _looks(record, images)]
    text = render(
        "page.html", title=title, sections=sections, about=about, names=METRIC_NAMES, looks=looks
    )
    page.write_text(text, "utf-8")


def _looks(record: Record, images: int) -> list[dict[str, Any]]:
    """Return the pictures of `src.explain` that lie in a record's folder, at most ``images``."""
    files = sorted((record.folder / ATTENTION).glob("*.png"))[:images]
    return [
        {"name": f"{record.name}, {file.stem}", "uri": data_uri(read_image(file, channels=3))}
        for file in files
    ]


def _section(group: Group, images: int, crop: int) -> dict[str, Any]:
    first = group.records[0]
    metrics = list(next(iter(first.benchmarks[group.benchmark]["restored"].values())))
    return {
        "benchmark": group.benchmark,
        "doubt": first.doubt(group.benchmark),
        "count": first.benchmarks[group.benchmark]["images"],
        "condition": first.condition,
        "protocol": first.content.get("protocol_in_words") or first.protocol,
        "metrics": [(metric, METRIC_NAMES.get(metric, metric)) for metric in metrics],
        "means": _means(group, metrics),
        "scores": _scores(group, metrics),
        "columns": list(group.scores),
        "shots": _shots(group, metrics, images, crop),
        "pairs": [
            (one.name, other.name, compare(one, other))
            for one, other in itertools.combinations(group.records, 2)
        ],
    }


def _means(group: Group, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row a method: mean and standard error of each metric, the two best marked."""
    boards = [record.benchmarks[group.benchmark] for record in group.records]
    untouched = [
        _mean(boards[0], f"{metric}_input") for metric in metrics if "input" in group.scores
    ]
    rows = [untouched] if untouched else []
    rows += [[_mean(board, metric) for metric in metrics] for board in boards]
    for metric, column in zip(metrics, zip(*rows, strict=True), strict=True):
        more = group.records[0].higher_is_better(metric)
        best = sorted({cell["text"] for cell in column}, key=_number, reverse=more)[:2]
        for cell in column:
            marked = cell["text"] in best and len(boards) > 1
            cell["mark"] = best.index(cell["text"]) + 1 if marked else 0
    return [{"name": name, "cells": cells} for name, cells in zip(group.scores, rows, strict=True)]


def _mean(board: dict[str, Any], name: str) -> dict[str, Any]:
    digits = METRIC_DIGITS.get(name.removesuffix("_input"), 4)
    error = (board.get("standard_error") or {}).get(name)
    spread = "" if error is None else f"± {error:.{digits}f}"
    return {"text": _text(board["mean"][name], digits), "spread": spread}


def _scores(group: Group, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row an image: the score of each method, metric after metric."""
    return [
        {
            "key": key,
            "cells": [
                {"text": _score(scores[key], metric), "value": scores[key][metric]}
                for metric in metrics
                for scores in group.scores.values()
            ],
        }
        for key in next(iter(group.scores.values()))
    ]


def _shots(group: Group, metrics: Sequence[str], images: int, crop: int) -> list[dict[str, Any]]:
    """Return the pictures that every record has kept: the same part of each, side by side."""
    shots: list[dict[str, Any]] = []
    for key in next(iter(group.scores.values())):
        read = [read_parts(record, group.benchmark, key) for record in group.records]
        parts = [part for part in read if part is not None]
        if len(parts) != len(read) or len(shots) == images:
            continue
        layers = {"input": parts[0]["input"]} if "input" in group.scores else {}
        layers |= {r.name: part["restored"] for r, part in zip(group.records, parts, strict=True)}
        layers["target"] = parts[0]["target"]
        captions = {
            name: " / ".join(_score(scores[key], metric) for metric in metrics)
            for name, scores in group.scores.items()
        }
        window = busiest(parts[0]["target"], crop)
        shown = [
            {"name": name, "uri": data_uri(window.of(image)), "score": captions.get(name, "")}
            for name, image in layers.items()
        ]
        shots.append({"key": key, "window": window, "layers": shown})
    return shots


def _about(record: Record) -> dict[str, Any]:
    content = record.content
    return {
        "name": record.name,
        "rows": [
            ("scored", ", ".join(record.benchmarks) + f"; {record.condition}"),
            ("protocol", content.get("protocol_in_words") or record.protocol),
            ("command", content.get("command")),
            ("checkpoint", content.get("checkpoint")),
            ("inference", ", ".join(f"{k}={v}" for k, v in content["inference"].items())),
            ("commit", content["scored_by"].get("commit")),
            ("configuration", content.get("config_sha256")),
            ("date", content.get("date")),
            ("took", _took(content.get("took") or {})),
            ("hardware", _hardware(content["hardware"])),
        ],
    }


def _took(took: dict[str, Any]) -> str:
    if not took:
        return ""
    gpu = took.get("peak_gpu_memory_mib")
    words = [f"{took['wall_seconds']:.1f} s", f"{took['peak_memory_mib']:,.0f} MiB at the peak"]
    return ", ".join([*words, *([f"{gpu:,.0f} MiB on the GPU"] if gpu else [])])


def _hardware(about: dict[str, Any]) -> str:
    words = [about["processor"], f"{about['cores']} cores", f"{about['memory_gib']} GiB"]
    return ", ".join([*words, *map(str, about["gpus"]), f"torch {about['torch']}", about["system"]])


def _score(scores: dict[str, float | None], metric: str) -> str:
    return _text(scores[metric], METRIC_DIGITS.get(metric, 4))


def _text(value: float | None, digits: int) -> str:
    return "∞" if value is None else f"{value:.{digits}f}"


def _number(text: str) -> float:
    return math.inf if text == "∞" else float(text)


@dataclass(frozen=True)
class Window:
    """Part of an image, in pixels from its upper left corner."""

    top: int
    left: int
    height: int
    width: int

    def of(self, image: Pixels) -> Pixels:
        """Return this part of (H, W, 3)."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def read_parts(record: Record, benchmark: str, key: str) -> dict[str, Pixels] | None:
    """Return input, restored and target of an image, (H, W, 3) each; None where none was kept."""
    file: Path = record.folder / "images" / picture_name(benchmark, key)
    if not file.is_file():
        return None
    panel = read_image(file, channels=3)
    width = panel.shape[1] // 4
    return {part: panel[:, index * width : (index + 1) * width] for index, part in enumerate(PARTS)}


def busiest(target: Pixels, side: int) -> Window:
    """Return the square of at most ``side`` pixels with the steepest edges in it.

    A rule that sees only the target, so that no method's best or worst place is picked.
    """
    grey = target.astype(np.float64).mean(axis=2)
    slope = np.zeros_like(grey)
    slope[1:] += np.abs(np.diff(grey, axis=0))
    slope[:, 1:] += np.abs(np.diff(grey, axis=1))
    height, width = (min(side, size) for size in grey.shape)
    table = np.pad(slope.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    sums = (
        table[height:, width:] - table[:-height, width:] - table[height:, :-width]
        + table[:-height, :-width]
    )  # fmt: skip
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return Window(int(top), int(left), height, width)


def data_uri(image: Pixels) -> str:
    """Return an image as a lossless WebP inside a URI: no pixel differs from the file's."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, "WEBP", lossless=True, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")
