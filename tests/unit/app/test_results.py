import csv
import io
import json
import math
from pathlib import Path
from typing import NoReturn

import pytest
from rich.console import Console

from src.app.results import finite, read_results, score_table, write_results
from src.core.console import make_console
from src.core.errors import DataError
from src.metrics.protocol import Protocol
from src.metrics.scoreboard import Scoreboard
from tests.support.evaluations import write_evaluation


def _no_constant(name: str) -> NoReturn:
    raise AssertionError(name)


def test_an_image_restored_exactly_is_null_in_strict_json_with_a_note(tmp_path: Path) -> None:
    write_evaluation(tmp_path, {"a": 30.0, "b": math.inf})
    held = json.loads((tmp_path / "results.json").read_text(), parse_constant=_no_constant)
    board = held["benchmarks"]["photos"]
    assert board["restored"] == {"a": {"psnr": 30.0}, "b": {"psnr": None}}
    assert board["mean"]["psnr"] is None
    assert board["standard_error"]["psnr"] is None
    assert board["notes"] == [
        "psnr of restored is null for b: equal to the target, so infinite",
    ]


def test_what_was_equal_before_and_after_has_no_gain() -> None:
    perfect = {"psnr": math.inf, "ssim": 1.0}
    console = Console(file=io.StringIO(), width=100)
    console.print(score_table({"photos": Scoreboard({"a": perfect}, {"a": perfect})}, ""))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "+0.00" in said
    assert "nan" not in said


def test_finite_scores_need_no_note(tmp_path: Path) -> None:
    write_evaluation(tmp_path, {"a": 30.0, "b": 32.0})
    board = read_results(tmp_path)["benchmarks"]["photos"]
    assert board["notes"] == []
    assert board["standard_error"]["psnr"] == pytest.approx(1.0)  # √2 / √2


def test_numbers_that_json_does_not_know_become_null_at_any_depth() -> None:
    assert finite({"a": [1.0, math.nan, {"b": (-math.inf, 2)}]}) == {
        "a": [1.0, None, {"b": [None, 2]}]
    }


def test_the_standard_error_is_that_of_the_sample() -> None:
    board = Scoreboard()
    for key, score in {"a": 1.0, "b": 2.0, "c": 4.0}.items():
        board.add(key, {"psnr": score}, {"psnr": 0.0})
    deviation = math.sqrt(((1 - 7 / 3) ** 2 + (2 - 7 / 3) ** 2 + (4 - 7 / 3) ** 2) / 2)
    assert board.standard_errors()["psnr"] == pytest.approx(deviation / math.sqrt(3))
    assert board.standard_errors()["psnr_input"] == 0


def test_one_image_has_no_standard_error() -> None:
    board = Scoreboard({"a": {"psnr": 1.0}}, {"a": {"psnr": 0.0}})
    assert math.isnan(board.standard_errors()["psnr"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not a record"),
        ("[]", "not a record"),
        ('{"schema": 2}', "not a record"),
        ('{"schema": 99, "benchmarks": {}}', "schema 99; this version reads up to"),
    ],
)
def test_a_file_that_is_no_record_is_refused(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(DataError, match=says):
        read_results(tmp_path)


def test_a_missing_record_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"results.json: No such file.*src\.evaluate"):
        read_results(tmp_path)


def test_a_record_of_before_a_step_existed_has_it_as_it_was_done_then(tmp_path: Path) -> None:
    write_evaluation(tmp_path, {"a": 30.0})
    file = tmp_path / "results.json"
    record = json.loads(file.read_text())
    of_today = Protocol("denoise_rgb").as_dict()
    record["protocol"] = {name: step for name, step in of_today.items() if name != "clip"}
    file.write_text(json.dumps(record))
    assert read_results(file)["protocol"] == of_today


def test_an_empty_evaluation_is_no_record(tmp_path: Path) -> None:
    write_results(tmp_path, {"none": Scoreboard()}, {})
    assert read_results(tmp_path)["benchmarks"]["none"]["mean"] == {}


def test_at_80_columns_the_image_is_named_beside_all_of_its_scores(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    metrics = ("psnr", "ssim", "psnr_b", "lpips")
    board = Scoreboard()
    for image in ("a_photograph_with_a_rather_long_name_0801", "[/red]b"):
        board.add(image, dict.fromkeys(metrics, 30.0), dict.fromkeys(metrics, 20.0))
    make_console().print(score_table({"urban100": board}, "a protocol"))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for name in ("a_photograph_with_a_rather_long_name_080", "[/red]b", "urban100, mean of 2"):
        rows = [line.removeprefix(name) for line in lines if line.startswith(name)]
        assert len(" ".join(rows).split()) == 3 * len(metrics)


def test_an_image_whose_name_is_a_formula_is_text_in_a_spreadsheet(tmp_path: Path) -> None:
    name = '=HYPERLINK("http://x","y")'
    board = Scoreboard(baseline={name: {"psnr": 20.0}}, restored={name: {"psnr": -1.5}})
    write_results(tmp_path, {"@set": board}, {})
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["benchmark"], row["image"]) == ("'@set", f"'{name}")
    assert row["restored"] == "-1.5"


def test_a_record_steers_no_terminal(tmp_path: Path) -> None:
    write_evaluation(tmp_path, {"x": 30.0}, name="\x1b[2Jgone")
    assert read_results(tmp_path)["name"] == "\\x1b[2Jgone"
