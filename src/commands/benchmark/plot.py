"""The plot of a benchmark: time and memory against pixels; needs the extra ``plot``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from src.commands.benchmark.record import Cost, growth_of, short

if TYPE_CHECKING:  # an extra, and slow to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart
COLOURS = {
    "papers": "#d55e00",
    "dense": "#e69f00",
    "chunked": "#cc79a7",
    "native": "#0072b2",
    "local": "#009e73",
    "local_chunked": "#f0e442",
}
_INK = "#222222"

Point = tuple[Cost, float, float, float]
"""What was measured; the value; and the ends of its whisker."""


def write_plot(path: Path, rows: Sequence[Cost], title: str) -> None:
    """Write an SVG whose words stay words; equal rows give equal files."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "exemplar"}):
        draw(rows, title).savefig(path, format="svg", metadata={"Date": None})


def draw(rows: Sequence[Cost], title: str) -> "Figure":
    """Draw time and memory, a line of panels a pass: curves over sizes, or bars at one size."""
    from matplotlib.figure import Figure

    kinds = {kind: [row for row in rows if row.kind == kind] for kind in (r.kind for r in rows)}
    figure = Figure(figsize=(10, 0.4 + 3.4 * len(kinds)), layout="constrained")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    panels = figure.subplots(len(kinds), 2, squeeze=False)
    for (times, peaks), (kind, shown) in zip(panels, kinds.items(), strict=True):
        what = f"{kind}, {shown[0].batch} × H × W" if shown[0].batch > 1 else kind
        seconds = [(row, row.median, row.lower, row.upper) for row in shown]
        _panel(times, f"{what}: seconds, median and quartiles", seconds)
        mebi = [(row, peak, peak, peak) for row in shown if (peak := row.peak / 2**20) > 0]
        _panel(peaks, f"{what}: MiB at the peak", mebi)
    curves, forms = panels[0][0].get_legend_handles_labels()
    if curves:
        figure.legend(curves, forms, loc="outside right upper", frameon=False)
    return figure


def _panel(panel: "Axes", title: str, points: Sequence[Point]) -> None:
    panel.set_title(title, fontsize=10, loc="left")
    sizes = {row.pixels: row.size for row, *_ in points}
    if len(sizes) > 1:
        _draw_curves(panel, points, sizes)
    elif sizes:
        _draw_bars(panel, points)
    else:
        panel.set_axis_off()


def _draw_curves(panel: "Axes", points: Sequence[Point], sizes: Mapping[int, str]) -> None:
    """Draw one line a form, both axes logarithmic."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for form in dict.fromkeys(row.form for row, *_ in points):
        own = [point for point in points if point[0].form == form]
        values = [value for _, value, _, _ in own]
        whiskers = [[v - low for _, v, low, _ in own], [high - v for _, v, _, high in own]]
        pixels, colour = [row.pixels for row, *_ in own], COLOURS.get(form, _INK)
        power = growth_of([row for row, *_ in own])
        label = f"{form}, pixels^{next(iter(power.values()))['time']:.2f}" if power else form
        panel.errorbar(pixels, values, whiskers, label=label, color=colour, marker="o", ms=4)
    panel.set(xscale="log", yscale="log", xlabel="pixels")
    panel.set_xticks(sorted(sizes), [sizes[pixels] for pixels in sorted(sizes)], minor=False)
    panel.set_xticks([], minor=True)
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.grid(visible=True, color="#dddddd")


def _draw_bars(panel: "Axes", points: Sequence[Point]) -> None:
    """Draw one bar a form, from zero, each with its value."""
    forms = [row.form for row, *_ in points]
    values = [value for _, value, _, _ in points]
    whiskers = [[v - low for _, v, low, _ in points], [high - v for _, v, _, high in points]]
    colours = [COLOURS.get(form, _INK) for form in forms]
    bars = panel.barh(forms, values, xerr=whiskers, color=colours, ecolor=_INK)
    panel.bar_label(bars, [short(value) for value in values], padding=4)
    panel.margins(x=0.15)
    panel.invert_yaxis()  # the first form on top
    panel.set_xlabel(f"at {points[0][0].size} pixels")
