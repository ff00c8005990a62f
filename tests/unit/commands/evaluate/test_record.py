"""The table of several combinations at 80 columns."""

from dataclasses import replace
from pathlib import Path

import pytest

from src.commands.evaluate.plan import Combination
from src.commands.evaluate.record import Scored, show_doubts
from src.commands.evaluate.summary import CombinationResult, summary_table, write_summary
from src.core.console import make_console
from src.core.errors import DataError
from src.data.prepared import identify
from src.metrics.scoreboard import Scoreboard

METRICS = ("psnr", "ssim", "psnr_b", "lpips", "dists")
NAMES = ("panet_small_pyramid", "[/red]edsr_small_non_local")


def _outcome(name: str) -> CombinationResult:
    board = Scoreboard()
    for image in ("a", "b"):
        board.add(image, dict.fromkeys(METRICS, 30.0), dict.fromkeys(METRICS, 20.0))
    about = {"name": name, "protocol_in_words": "a protocol"}
    scored = Scored(Path("somewhere"), {"urban100": board}, about)
    return CombinationResult(_combination(name), scored)


def test_each_row_keeps_its_model_set_and_condition_beside_every_score(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    make_console().print(summary_table([_outcome(name) for name in NAMES]))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for name in NAMES:
        rows = [line for line in lines if line.startswith(name[:12])]
        assert sum(line.count(" ± ") for line in rows) == len(METRICS)
        assert all("urban100" in row and "sigma=25" in row for row in rows)


def test_several_sets_that_are_not_the_published_ones_are_marked_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swapped = {"urban100": identify("urban100", {"a": "24x20:0", "b": "24x20:1"})}
    scored = [_outcome(name) for name in NAMES]
    outcomes = [
        replace(one.outcome, sets=swapped) for one in scored if isinstance(one.outcome, Scored)
    ]
    show_doubts(make_console(), outcomes)
    assert capsys.readouterr().out.count("Images") == 1
    write_summary(
        tmp_path,
        [
            CombinationResult(one.combination, out)
            for one, out in zip(scored, outcomes, strict=True)
        ],
    )
    assert (tmp_path / "summary.csv").read_text().count("no published score compares") == 2


def test_where_all_have_failed_the_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    failed = CombinationResult(_combination("net"), DataError("no images"))
    make_console().print(summary_table([failed]))
    assert "failed" in capsys.readouterr().out


def test_runs_that_differ_in_their_seed_alone_have_a_row_of_their_mean(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = []
    for seed, score in ((1, 30.0), (2, 30.4), (7, 33.0)):
        board = Scoreboard({"a": {"psnr": score}}, {"a": {"psnr": 20.0}}, {"a": None})
        training = {"seed": seed, "trainer": {"max_steps": 20 if seed == 7 else 10}}
        about = {"name": f"net_{seed}", "protocol_in_words": "a protocol", "training": training}
        about |= {"config_sha256": "0", "step": 10}
        scored = Scored(Path("somewhere"), {"set5": board}, about)
        results.append(CombinationResult(_combination(f"net_{seed}"), scored))
    make_console().print(summary_table(results))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "mean of 2 seeds" in line]
    assert "30.20 ± 0.20" in line


def _combination(name: str) -> Combination:
    return Combination(name, None, None, None, {"sigma": 25}, (name,))
