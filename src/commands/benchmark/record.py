"""What a benchmark writes: a table to read, and a CSV."""

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import linear_regression

from src.core.console import FoldingTable


@dataclass(frozen=True)
class Cost:
    """What one form takes at one size: times in seconds, memory in bytes."""

    what: str  # attention, model or training
    kind: str  # forward or training: forward and backward
    form: str
    batch: int
    side: int  # height in pixels, and width but for the one at the end
    median: float
    lower: float  # quartile
    upper: float  # quartile
    peak: float  # beside what was there before; NaN where unknown
    flops: int  # in products and convolutions
    parameters: int
    difference: float  # largest, to the first form's result; NaN for that one and if not compared
    width: int | None = None  # in pixels, where it is not the height

    @property
    def pixels(self) -> int:
        """Height times width."""
        return self.side * (self.width or self.side)

    @property
    def size(self) -> str:
        """Height and width in words."""
        return f"{self.side}²" if self.width is None else f"{self.side}×{self.width}"


def table_of(rows: Sequence[Cost], title: str) -> FoldingTable:
    """Return a table in which each form stands beside the first one of its size.

    Speed and memory are ratios to that one: how many times faster, how many times less.
    """
    first = rows[0].form
    numbers = ["median ms", "quartiles", "speed", "images/s", "peak MiB", "memory", "GFLOP"]
    table = FoldingTable(
        ["size", "pass", "form"],
        [*numbers, "difference"],
        title=f"{title}; speed and memory: {first} over each",
    )
    for index, row in enumerate(rows):
        base = next((r for r in rows if _case(r) == _case(row) and r.form == first), None)
        last = index + 1 == len(rows) or _case(rows[index + 1]) != _case(row)
        table.add_row(
            f"{row.batch}×{row.size}",
            row.kind,
            row.form,
            f"{row.median * 1e3:.1f}",
            f"{row.lower * 1e3:.1f}–{row.upper * 1e3:.1f}",
            short(base.median / row.median if base else math.nan, "×"),
            f"{row.batch / row.median:.2f}",
            short(row.peak / 2**20),
            short(base.peak / row.peak if base and row.peak else math.nan, "×"),
            short(row.flops / 1e9),
            "" if math.isnan(row.difference) else f"{row.difference:.0e}",
            ends_section=last,
        )
    return table


def growth_of(rows: Sequence[Cost]) -> dict[str, dict[str, float]]:
    """Return with which power of the pixels each form's time and memory grow, by least squares.

    Returns:
        By pass and form, of ``time`` and ``memory``; only where there are three sizes or more.
    """
    found: dict[str, dict[str, float]] = {}
    for kind, form in dict.fromkeys((row.kind, row.form) for row in rows):
        own = [row for row in rows if (row.kind, row.form) == (kind, form)]
        pixels = [row.batch * row.pixels for row in own]
        measured = {"time": [row.median for row in own], "memory": [row.peak for row in own]}
        if len(set(pixels)) > 2:
            found[f"{kind}, {form}"] = {
                name: _exponent(pixels, values)
                for name, values in measured.items()
                if all(value > 0 for value in values)  # nor NaN
            }
    return found


def _exponent(pixels: Sequence[float], values: Sequence[float]) -> float:
    """Return the slope of the line through the logarithms."""
    slope, _ = linear_regression(list(map(math.log, pixels)), list(map(math.log, values)))
    return round(slope, 3)


def write_csv(path: Path, rows: Sequence[Cost]) -> None:
    """Write one line a row, in the units of ``Cost``."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Cost)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def _case(row: Cost) -> tuple[str, int, str]:
    return row.kind, row.batch, row.size


def short(value: float, unit: str = "") -> str:
    """Return a number with three digits, without an exponent where it is large."""
    return (
        "–" if math.isnan(value) else f"{value:.3g}{unit}" if value < 1000 else f"{value:.0f}{unit}"
    )
