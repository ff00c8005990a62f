"""What a benchmark's plot shows: curves over sizes or bars at one, words as words, equal files."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from src.commands.benchmark.plot import draw, write_plot
from src.commands.benchmark.record import Cost, growth_of

pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")


def cost(form: str, side: int, median: float, peak: float = 2**20) -> Cost:
    return Cost(
        what="attention",
        kind="forward",
        form=form,
        batch=1,
        side=side,
        median=median,
        lower=median / 2,
        upper=median * 2,
        peak=peak,
        flops=1,
        parameters=1,
        difference=0.0,
    )


CURVES = [cost(form, side, side**2) for form in ("papers", "native") for side in (48, 96)]


def test_several_sizes_give_a_curve_a_form_over_pixels() -> None:
    times, peaks = draw(CURVES, "a title").axes
    for panel in (times, peaks):
        assert panel.get_xscale() == panel.get_yscale() == "log"
        assert [label.get_text() for label in panel.get_xticklabels()] == ["48²", "96²"]
        assert len(panel.containers) == 2
    curve = times.containers[0].lines[0]
    assert list(curve.get_xdata()) == list(curve.get_ydata()) == [48**2, 96**2]


def test_one_size_gives_bars_as_long_as_what_they_stand_for() -> None:
    times, _ = draw([cost("papers", 48, 4.0), cost("native", 48, 1.0)], "a title").axes
    bars = times.patches
    assert [bar.get_width() for bar in bars] == [4.0, 1.0]
    assert [label.get_text() for label in times.get_yticklabels()] == ["papers", "native"]


def test_where_no_memory_is_known_its_panel_is_empty() -> None:
    _, peaks = draw([cost("papers", 48, 4.0, peak=float("nan"))], "a title").axes
    assert not peaks.axison


@pytest.mark.long
def test_words_stay_words_and_equal_rows_give_equal_files(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        write_plot(tmp_path / name, CURVES, "a title")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    root = ET.parse(tmp_path / "one.svg").getroot()  # noqa: S314  our own file
    words = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a title", "papers", "native", "48²", "forward: MiB at the peak"} <= set(words)


def test_three_sizes_give_the_power_of_the_pixels_with_which_a_form_grows() -> None:
    sides = (48, 96, 192)
    linear = [cost("local", side, 3.0 * side**2, peak=side**3) for side in sides]
    square = [cost("native", side, side**4, peak=float("nan")) for side in sides]
    expected = {"forward, local": {"time": 1.0, "memory": 1.5}, "forward, native": {"time": 2.0}}
    assert growth_of([*linear, *square]) == expected
    assert growth_of(CURVES) == {}
    figure = draw([*linear, *square], "a title")
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["local, pixels^1.00", "native, pixels^2.00"]
