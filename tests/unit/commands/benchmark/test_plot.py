"""What a benchmark's plot shows: round numbers in place, names apart, curves or bars."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from src.commands.benchmark.axis import Axis, apart
from src.commands.benchmark.plot import write_plot
from src.commands.benchmark.record import Row

SVG = "{http://www.w3.org/2000/svg}"


def row(form: str, side: int, median: float) -> Row:
    return Row(
        what="attention",
        kind="forward",
        form=form,
        batch=1,
        side=side,
        median=median,
        lower=median / 2,
        upper=median * 2,
        peak=side**2 * 1000,
        flops=1,
        parameters=1,
        difference=0.0,
    )


def drawn(folder: Path, *rows: Row) -> ET.Element:
    write_plot(folder / "plot.svg", rows, "a title")
    return ET.parse(folder / "plot.svg").getroot()  # noqa: S314  our own file


def test_a_decade_is_as_long_as_another() -> None:
    axis = Axis([1, 1000], 0, 300)
    assert axis(100) - axis(10) == pytest.approx(axis(10) - axis(1))
    assert 0 < axis(1) < axis(1000) < 300


@pytest.mark.parametrize(
    ("numbers", "ticks"),
    [([0.9, 11], [1, 2, 5, 10]), ([3.0], [2]), ([1, 1e6], [1, 10, 100, 1e3, 1e4, 1e5, 1e6])],
)
def test_round_numbers_stand_beside_an_axis(numbers: list[float], ticks: list[float]) -> None:
    assert Axis(numbers, 0, 1).ticks() == pytest.approx(ticks)


def test_names_keep_their_order_and_their_distance() -> None:
    moved = apart({"a": 5.0, "b": 4.0, "c": 100.0}, 10)
    assert moved == {"b": 4.0, "a": 14.0, "c": 100.0}


def test_several_sizes_give_a_curve_a_form_with_its_name_at_the_end(tmp_path: Path) -> None:
    rows = [row(form, side, side**2) for form in ("papers", "native") for side in (48, 96)]
    svg = drawn(tmp_path, *rows)
    assert len(svg.findall(f".//{SVG}polyline")) == 4  # of time and of memory
    words = [element.text for element in svg.iter(f"{SVG}text")]
    assert words.count("papers") == words.count("native") == words.count("48²") == 2


def test_one_size_gives_bars_as_long_as_what_they_stand_for(tmp_path: Path) -> None:
    svg = drawn(tmp_path, row("papers", 48, 4.0), row("native", 48, 1.0))
    papers, native = [float(e.get("width", 0)) for e in svg.iter(f"{SVG}rect")][1:3]
    assert papers == pytest.approx(4 * native, abs=0.2)
    assert not svg.findall(f".//{SVG}polyline")
