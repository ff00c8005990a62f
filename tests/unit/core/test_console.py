"""Tables fit every width: nothing that identifies a row is dropped, cut or taken for markup."""

import io
import re

import pytest
from rich.console import Console

from src.core.console import WIDE, FoldingTable, make_console

HOSTILE = "runs/[/red]a :smile: [bold]b"
COMMAND = "python -m src.prepare dataset=set5 paths.data_dir=/a/rather/long/folder/of/image/sets"


def drawn(table: FoldingTable, width: int) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, soft_wrap=True).print(table)  # one that knows markup
    return file.getvalue().splitlines()


def scores(metrics: int) -> FoldingTable:
    numbers = [f"metric{i} {column}" for i in range(metrics) for column in ("in", "out", "gain")]
    table = FoldingTable(["image"], numbers, title="Scores")
    for name in ("0801x4-a-photograph-of-some-length", "b"):
        table.add_row(name, *(f"{name[0]}{i}.{i}2" for i in range(len(numbers))))
    return table


def without_spaces(lines: list[str]) -> str:
    return "".join("".join(lines).split())


@pytest.mark.parametrize("width", [20, 40, 80, 120, WIDE])
@pytest.mark.parametrize("metrics", [1, 3, 6])
def test_no_figure_is_lost_or_broken_and_each_stands_beside_its_row(
    metrics: int, width: int
) -> None:
    lines = drawn(scores(metrics), width)
    assert max(map(len, lines)) <= width
    for name in ("0", "b"):
        beside = " ".join(line for line in lines if line.startswith(name)).split()
        assert [word for word in beside if re.fullmatch(rf"{name}\d+\.\d+2", word)] == [
            f"{name}{i}.{i}2" for i in range(3 * metrics)
        ]


@pytest.mark.parametrize("width", [80, WIDE])
def test_what_looks_like_markup_or_a_picture_is_shown_as_it_is(width: int) -> None:
    table = FoldingTable([HOSTILE], texts=[HOSTILE], title=HOSTILE)
    table.add_row(HOSTILE, HOSTILE)
    assert without_spaces(drawn(table, width)).count(without_spaces([HOSTILE])) == 5


def test_prose_folds_at_words_and_keeps_them_whole() -> None:
    words = "Bicubic enlargement by the rules of doi:10.1109/TASSP.1981.1163711 and of others"
    table = FoldingTable(["name"], ["parameters"], ["paper", "what"])
    table.add_row("bicubic", "0", words, words)
    lines = drawn(table, 80)
    assert max(map(len, lines)) <= 80
    said = " ".join(lines).split()
    assert all(said.count(word) == 2 * words.split().count(word) for word in set(words.split()))


def test_a_command_to_copy_is_on_one_line_beside_or_below_its_row() -> None:
    table = FoldingTable(["row"], texts=["found"], remark="to mend it")
    table.add_row("set5, bicubic ×2", "not there", COMMAND)
    table.add_row("set14", "right")
    below = drawn(table, 80)
    assert f"  set5, bicubic ×2: {COMMAND}" in below
    assert not any(line.startswith("  set14:") for line in below)
    (row,) = [line for line in drawn(table, WIDE) if "bicubic" in line]
    assert row.rstrip().endswith(COMMAND)


def test_a_name_that_is_too_long_folds_and_loses_nothing() -> None:
    name = "a/very/long/" * 15 + "name.png"
    table = FoldingTable(["image"], ["PSNR"])
    table.add_row(name, "30.12")
    lines = drawn(table, 80)
    keys = [line[: line.find("30.12")] if "30.12" in line else line for line in lines]
    assert name in without_spaces(keys)


def test_a_terminal_too_narrow_for_the_keys_drops_none_of_them() -> None:
    table = FoldingTable(["job", "optimizer.lr", "model/attention", "seed"], ["score"])
    table.add_row("0", "0.001", "pyramid_local", "7", "31.2345")
    said = without_spaces(drawn(table, 15))
    assert all(part in said for part in ("job", "optimize", "local", "seed", "7", "31.2345"))


def test_more_cells_than_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="2 cells for the columns"):
        FoldingTable(["only"]).add_row("a", "b")


@pytest.mark.parametrize(("columns", "width"), [(None, WIDE), ("80", 80)])
def test_what_is_redirected_is_as_wide_as_its_content(
    columns: str | None,
    width: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    out = make_console()
    assert out.width == width
    out.print(HOSTILE * 20)
    assert capsys.readouterr().out == HOSTILE * 20 + "\n"  # unbroken at any width
