"""The plot of a benchmark: time and memory against pixels, as an SVG drawn by hand."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET  # writes only

from src.commands.benchmark.axis import Axis, apart
from src.commands.benchmark.record import Row, short

# Okabe and Ito's colours, which the colour-blind can tell apart
COLOURS = {
    "papers": "#d55e00",
    "dense": "#e69f00",
    "plain": "#cc79a7",
    "native": "#0072b2",
    "triton": "#56b4e9",
    "local": "#009e73",
}
_WIDTH, _HEIGHT, _TITLE, _BAR = 460, 320, 34, 40
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 372, 34, 270
_INK, _PALE = "#222222", "#dddddd"

Point = tuple[int, float, float, float]
"""Side in pixels; the value; and the ends of its whisker."""


def write_plot(path: Path, rows: Sequence[Row], title: str) -> None:
    """Draw time and memory, a line of panels a pass: curves over sizes, or bars at one size."""
    kinds = {kind: [row for row in rows if row.kind == kind] for kind in (r.kind for r in rows)}
    size = {"width": str(2 * _WIDTH), "height": str(_TITLE + sum(map(_height, kinds.values())))}
    svg = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size})
    ET.SubElement(svg, "rect", {**size, "fill": "white"})
    _text(svg, 12, 22, title, size=13)
    top = _TITLE
    for kind, shown in kinds.items():
        what = f"{kind}, {shown[0].batch} × H × W" if shown[0].batch > 1 else kind
        times = _curves([(row, row.median, row.lower, row.upper) for row in shown])
        _panel(svg, 0, top, f"{what}: seconds, median and quartiles", times)
        mebi = [(row, row.peak / 2**20) for row in shown if row.peak > 0]
        peaks = _curves([(row, peak, peak, peak) for row, peak in mebi])
        _panel(svg, _WIDTH, top, f"{what}: MiB held at the peak", peaks)
        top += _height(shown)
    ET.indent(svg)
    path.write_text(ET.tostring(svg, encoding="unicode") + "\n", encoding="utf-8")


def _height(shown: Sequence[Row]) -> int:
    """Return the height of a line of panels."""
    return _HEIGHT if len({row.side for row in shown}) > 1 else 100 + _BAR * len(shown)


def _curves(
    measured: Sequence[tuple[Row, float, float, float]],
) -> dict[str, list[Point]]:
    curves: dict[str, list[Point]] = {}
    for row, value, low, high in measured:
        curves.setdefault(row.form, []).append((row.side, value, low, high))
    return curves


def _panel(
    svg: ET.Element, left: int, top: int, title: str, curves: dict[str, list[Point]]
) -> None:
    group = ET.SubElement(svg, "g", {"transform": f"translate({left},{top})"})
    _text(group, _LEFT, 20, title, size=12)
    sides = sorted({point[0] for points in curves.values() for point in points})
    if len(sides) > 1:
        _draw_curves(group, curves, sides)
    elif sides:
        _draw_bars(group, curves, sides[0])


def _draw_curves(group: ET.Element, curves: dict[str, list[Point]], sides: Sequence[int]) -> None:
    """Draw one line a form, both axes logarithmic, each named at its end."""
    across = Axis([float(side**2) for side in sides], _LEFT, _RIGHT)
    up = Axis([end for points in curves.values() for p in points for end in p[1:]], _BOTTOM, _TOP)
    for side in sides:
        _line(group, (across(side**2), _TOP), (across(side**2), _BOTTOM), _PALE)
        _text(group, across(side**2), _BOTTOM + 16, f"{side}²", size=11, anchor="middle")
    _text(group, (_LEFT + _RIGHT) / 2, _BOTTOM + 34, "pixels", size=11, anchor="middle")
    for value in up.ticks():
        _line(group, (_LEFT, up(value)), (_RIGHT, up(value)), _PALE)
        _text(group, _LEFT - 6, up(value) + 4, f"{value:g}", size=11, anchor="end")
    names = apart({form: up(points[-1][1]) for form, points in curves.items()}, 13)
    for form, points in curves.items():
        colour = COLOURS.get(form, _INK)
        path = " ".join(f"{across(side**2):.1f},{up(value):.1f}" for side, value, *_ in points)
        style = {"fill": "none", "stroke": colour, "stroke-width": "2"}
        ET.SubElement(group, "polyline", {"points": path, **style})
        for side, value, low, high in points:
            place = across(side**2)
            _line(group, (place, up(low)), (place, up(high)), colour, width=1)
            dot = {"cx": f"{place:.1f}", "cy": f"{up(value):.1f}", "r": "3.5", "fill": colour}
            ET.SubElement(group, "circle", dot)
        place = across(points[-1][0] ** 2)
        _text(group, place + 9, names[form] + 4, form, size=12, colour=colour)


def _draw_bars(group: ET.Element, curves: dict[str, list[Point]], side: int) -> None:
    """Draw one bar a form, from zero, each with its value."""
    largest = max(points[0][3] for points in curves.values())
    left = _LEFT + 46
    for index, (form, ((_, value, low, high),)) in enumerate(curves.items()):
        top, colour = _TOP + 14 + index * _BAR, COLOURS.get(form, _INK)
        reach = (_RIGHT - left) / largest
        box = {"x": f"{left}", "y": f"{top:.1f}", "height": f"{_BAR * 0.6:.1f}"}
        ET.SubElement(group, "rect", {**box, "width": f"{value * reach:.1f}", "fill": colour})
        middle = top + _BAR * 0.3
        _line(group, (left + low * reach, middle), (left + high * reach, middle), _INK, width=1)
        _text(group, left - 6, middle + 4, form, size=12, anchor="end", colour=colour)
        _text(group, left + high * reach + 6, middle + 4, short(value), size=11)
    _text(group, left, _TOP + 28 + len(curves) * _BAR, f"{side}² pixels", size=11)


def _line(
    group: ET.Element,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str,
    *,
    width: float = 0.7,
) -> None:
    ends = zip(("x1", "y1", "x2", "y2"), (*start, *end), strict=True)
    place = {name: f"{number:.1f}" for name, number in ends}
    ET.SubElement(group, "line", {**place, "stroke": colour, "stroke-width": f"{width}"})


def _text(
    parent: ET.Element,
    x: float,
    y: float,
    text: str,
    *,
    size: int,
    colour: str = _INK,
    anchor: str = "start",
) -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "font-size": str(size), "fill": colour}
    style = {"text-anchor": anchor, "font-family": "sans-serif"}
    ET.SubElement(parent, "text", {**place, **style}).text = text
