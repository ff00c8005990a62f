"""What a benchmark leaves: a table to read, a CSV, a plot, and where and when it was measured."""

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from xml.etree import ElementTree as ET  # writes only

from rich import box
from rich.table import Table

COLOURS = {
    "papers": "#d62728",
    "dense": "#ff7f0e",
    "plain": "#9467bd",
    "native": "#1f77b4",
    "triton": "#17becf",
    "local": "#2ca02c",
}
_WIDTH, _HEIGHT, _MARGIN = 380, 300, 60


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
            _number(base.median / row.median if base else math.nan, "×"),
            f"{row.batch / row.median:.2f}",
            _number(row.peak / 2**20),
            _number(base.peak / row.peak if base and row.peak else math.nan, "×"),
            _number(row.flops / 1e9),
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


def write_plot(path: Path, rows: Sequence[Row], title: str) -> None:
    """Draw time and memory against pixels, both logarithmic, as an SVG: one line of panels a pass.

    Needs no plotting library.
    """
    kinds = list(dict.fromkeys(row.kind for row in rows))
    size = {"width": str(2 * _WIDTH), "height": str(len(kinds) * _HEIGHT + 30)}
    svg = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size})
    ET.SubElement(svg, "rect", {**size, "fill": "white"})
    _text(svg, 10, 18, title, size=11)
    for line, kind in enumerate(kinds):
        shown = [row for row in rows if row.kind == kind]
        times = [(row.form, row.side**2, row.median) for row in shown]
        peaks = [(row.form, row.side**2, row.peak / 2**20) for row in shown if row.peak > 0]
        _panel(svg, 0, line * _HEIGHT + 30, f"{kind}: seconds", times)
        _panel(svg, _WIDTH, line * _HEIGHT + 30, f"{kind}: peak MiB", peaks)
    ET.indent(svg)
    path.write_text(ET.tostring(svg, encoding="unicode") + "\n", encoding="utf-8")


def _panel(
    svg: ET.Element, left: int, top: int, title: str, points: Sequence[tuple[str, int, float]]
) -> None:
    """Draw one line a form through its (pixels, value) points."""
    group = ET.SubElement(svg, "g", {"transform": f"translate({left},{top})"})
    _text(group, _MARGIN, 16, title, size=12)
    if not points:
        return
    horizontal = _Axis([float(p) for _, p, _ in points], _MARGIN, _WIDTH - 70)
    vertical = _Axis([v for _, _, v in points], _HEIGHT - 40, 30)
    for pixels in dict.fromkeys(p for _, p, _ in points):
        _text(group, horizontal(pixels), _HEIGHT - 20, f"{math.isqrt(pixels)}²", size=10)
    values = [v for _, _, v in points]
    for value in (min(values), math.sqrt(min(values) * max(values)), max(values)):
        _text(group, 8, vertical(value) + 4, f"{value:.3g}", size=10)
    for form in dict.fromkeys(f for f, _, _ in points):
        line = [(horizontal(p), vertical(v)) for f, p, v in points if f == form]
        colour = COLOURS.get(form, "#444444")
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
        style = {"fill": "none", "stroke": colour, "stroke-width": "1.5"}
        ET.SubElement(group, "polyline", {"points": path, **style})
        for x, y in line:
            ET.SubElement(group, "circle", {"cx": f"{x}", "cy": f"{y}", "r": "3", "fill": colour})
        _text(group, line[-1][0] + 8, line[-1][1] + 4, form, size=10, colour=colour)


class _Axis:
    """Maps numbers to places on a logarithmic axis."""

    def __init__(self, numbers: Sequence[float], start: float, end: float) -> None:
        self.low, self.high = math.log(min(numbers)), math.log(max(numbers))
        self.start, self.end = start, end

    def __call__(self, number: float) -> float:
        share = (math.log(number) - self.low) / ((self.high - self.low) or 1.0)
        return self.start + share * (self.end - self.start)


def _text(
    parent: ET.Element, x: float, y: float, text: str, *, size: int, colour: str = "#222222"
) -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "font-size": str(size), "fill": colour}
    ET.SubElement(parent, "text", {**place, "font-family": "sans-serif"}).text = text


def _case(row: Row) -> tuple[str, int, int]:
    return row.kind, row.batch, row.side


def _number(value: float, unit: str = "") -> str:
    return (
        "–" if math.isnan(value) else f"{value:.3g}{unit}" if value < 1000 else f"{value:.0f}{unit}"
    )
