"""What a benchmark leaves: a table to read, and a CSV."""

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from rich import box
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One form at one size: times in seconds, memory in bytes.

    Attributes:
        what: ``attention``, ``model`` or ``training``.
        kind: ``forward`` or ``training``, forward and backward.
        form: Name of the form.
        batch: Samples.
        side: Height and width in pixels.
        median: Of the runs.
        lower: Quartile.
        upper: Quartile.
        peak: Memory beside what was held before; NaN where unknown.
        flops: In products and convolutions.
        parameters: Of the block or network.
        difference: Largest difference of the result to the first form's; NaN for the first form
            and where results are not compared.
    """

    what: str
    kind: str
    form: str
    batch: int
    side: int
    median: float
    lower: float
    upper: float
    peak: float
    flops: int
    parameters: int
    difference: float


def table_of(rows: Sequence[Row], title: str) -> Table:
    """Return a table in which each form stands beside the first one of its size.

    Speed and memory are ratios to that one: how many times faster, how many times less.
    """
    first = rows[0].form
    table = Table(
        title=f"{title}; speed and memory: {first} over each",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for name in ("size", "pass", "form"):
        table.add_column(name, no_wrap=True)
    ratios = ("speed", "images/s", "peak MiB", "memory", "GFLOP", "difference")
    for name in ("median ms", "quartiles", *ratios):
        table.add_column(name, justify="right", no_wrap=True)
    for index, row in enumerate(rows):
        base = next((r for r in rows if _case(r) == _case(row) and r.form == first), None)
        last = index + 1 == len(rows) or _case(rows[index + 1]) != _case(row)
        table.add_row(
            f"{row.batch}×{row.side}²",
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
            end_section=last,
        )
    return table


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write one line a row, in the units of ``Row``."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def _case(row: Row) -> tuple[str, int, int]:
    return row.kind, row.batch, row.side


def short(value: float, unit: str = "") -> str:
    """Return a number with three digits, without an exponent where it is large."""
    return (
        "–" if math.isnan(value) else f"{value:.3g}{unit}" if value < 1000 else f"{value:.0f}{unit}"
    )
