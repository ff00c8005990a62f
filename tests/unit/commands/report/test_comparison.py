import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from src.commands.report.comparison import compare
from src.commands.report.records import Record, open_records
from src.core.errors import DataError
from tests.support.evaluations import GAUSSIAN, PROTOCOL, write_evaluation
from tests.support.runs import command

FIRST = {"a": 30.0, "b": 31.0, "c": 29.5, "d": 33.0, "e": 28.0, "f": 30.5}
SECOND = {"a": 30.2, "b": 31.1, "c": 29.9, "d": 33.05, "e": 28.3, "f": 30.65}


def _records(tmp_path: Path, second: dict[str, float] = SECOND, **about: object) -> list[Record]:
    write_evaluation(tmp_path / "a", FIRST, name="first")
    write_evaluation(tmp_path / "b", second, name="second", **about)
    return open_records([str(tmp_path / "a"), str(tmp_path / "b")])


def test_the_tests_are_scipys_paired_ones(tmp_path: Path) -> None:
    (item,) = compare(*_records(tmp_path))
    one, two = np.array(list(FIRST.values())), np.array(list(SECOND.values()))
    assert item.mean == pytest.approx((two - one).mean())
    assert item.t_test == pytest.approx(stats.ttest_rel(two, one).pvalue)
    assert item.wilcoxon == pytest.approx(stats.wilcoxon(two, one).pvalue)
    interval = stats.ttest_rel(two, one).confidence_interval(0.95)
    assert (item.low, item.high) == pytest.approx((interval.low, interval.high))
    assert item.differences["e"] == pytest.approx(0.3)
    assert item.verdict == "second"


@pytest.mark.parametrize("metric", ["lpips", "dists", "mae"])
def test_of_a_distance_the_smaller_one_is_better(tmp_path: Path, metric: str) -> None:
    write_evaluation(tmp_path / "a", FIRST, metric=metric)
    write_evaluation(tmp_path / "b", SECOND, metric=metric)
    (item,) = compare(*open_records([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert item.verdict == "first"


def test_the_record_says_which_is_better_of_a_metric_of_ones_own(tmp_path: Path) -> None:
    for name, scores in (("a", FIRST), ("b", SECOND)):
        said = {"higher_is_better": {"odd": False}}
        write_evaluation(tmp_path / name, scores, metric="odd", **said)
    (item,) = compare(*open_records([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert item.verdict == "first"


def test_a_score_of_one_record_alone_is_said_and_the_others_are_compared(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_evaluation(tmp_path / "a", FIRST, name="first")
    write_evaluation(tmp_path / "b", SECOND, name="second")
    file = tmp_path / "a/results.json"
    record = json.loads(file.read_text())
    for board in record["benchmarks"].values():
        for row in board["restored"].values():
            row["mae"] = 1.0
        board["input"] = {}
        board["mean"]["mae"] = 1.0
    file.write_text(json.dumps(record))
    paths = [str(tmp_path / "a"), str(tmp_path / "b")]
    for some in (paths, paths[::-1]):
        caplog.clear()
        (item,) = compare(*open_records(some))
        assert item.metric == "psnr"
        assert "mae is in one of the two records and is not compared" in caplog.text
    write_evaluation(tmp_path / "b", SECOND, name="second", metric="lpips")
    with pytest.raises(DataError, match=r"scored by psnr, mae \| lpips"):
        compare(*open_records(paths))


@pytest.mark.long
def test_an_unknown_direction_is_refused_with_the_key_that_states_it(tmp_path: Path) -> None:
    for name, scores in (("a", FIRST), ("b", SECOND)):
        write_evaluation(tmp_path / name, scores, metric="odd")
    compared = f"compare=[{tmp_path}/a,{tmp_path}/b]"
    refused = command("report", compared)
    assert refused.code == 2
    assert "add better={odd:min} or better={odd:max}" in refused.err
    assert "odd: a is better" in command("report", compared, "better={odd:min}").out
    assert "min or max" in command("report", compared, "better={odd:less}").err


def test_an_interval_that_holds_zero_decides_nothing(tmp_path: Path) -> None:
    turned = {key: score + (0.5 if key in "ace" else -0.5) for key, score in FIRST.items()}
    (item,) = compare(*_records(tmp_path, turned))
    assert item.low < 0 < item.high
    assert item.verdict == "undecided"


def test_equal_results_differ_by_nothing(tmp_path: Path) -> None:
    (item,) = compare(*_records(tmp_path, FIRST))
    assert (item.mean, item.low, item.high) == (0, 0, 0)
    assert (item.t_test, item.wilcoxon, item.verdict) == (1, 1, "undecided")


def test_one_image_has_a_difference_and_no_interval(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "a", {"x": 30.0})
    write_evaluation(tmp_path / "b", {"x": 31.0})
    (item,) = compare(*open_records([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert item.mean == 1
    assert math.isnan(item.low)
    assert item.verdict == "undecided"


def test_an_image_restored_exactly_is_left_out(tmp_path: Path) -> None:
    (item,) = compare(*_records(tmp_path, {**SECOND, "a": math.inf}))
    assert "a" not in item.differences
    assert len(item.differences) == 5


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"protocol": {**PROTOCOL, "border": 4}}, r"protocol\.border: 0 \| 4"),
        ({"degradation": {**GAUSSIAN, "sigma": [50, 50]}}, r"degradation\.sigma"),
        ({"benchmark": "others"}, "photos: only in first"),
        ({"noisy": 21.0}, "photos: the inputs differ, e.g. a: psnr 20.0000 | 21.0000"),
    ],
    ids=["protocol", "degradation", "set", "input"],
)
def test_results_of_unlike_things_are_refused_and_it_says_in_what(
    about: dict[str, object], says: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=says):
        compare(*_records(tmp_path, **about))


def test_other_images_are_refused(tmp_path: Path) -> None:
    fewer = {key: score for key, score in SECOND.items() if key != "f"}
    with pytest.raises(DataError, match="only one of them has the images f"):
        compare(*_records(tmp_path, fewer))


def test_the_command_prints_the_verdict_and_writes_strict_json(tmp_path: Path) -> None:
    _records(tmp_path)
    results = f"compare=[{tmp_path}/a/results.json,{tmp_path}/b]"
    done = command("report", results, f"output={tmp_path / 'verdict.json'}")
    assert done.code == 0, done.err
    assert "photos psnr: second is better" in done.out
    held = json.loads((tmp_path / "verdict.json").read_text())
    assert held["comparisons"][0]["verdict"] == "second"


def test_at_80_columns_each_row_keeps_its_set_its_score_and_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = ("[/red]panet_small_with_pyramid", "panet_small_with_local_attention")
    write_evaluation(tmp_path / "a", FIRST, name=names[0], benchmark="urban100")
    write_evaluation(tmp_path / "b", SECOND, name=names[1], benchmark="urban100")
    done = command("report", f"compare=[{tmp_path}/a,{tmp_path}/b]")
    table = done.out.partition("urban100 psnr:")[0].splitlines()
    assert max(map(len, table)) <= 80
    assert all(any(name in line for line in table) for name in names)
    rows = [line.split() for line in table if "urban100" in line]
    assert {tuple(row[:3]) for row in rows} == {("urban100", "(6)", "PSNR")}
    figures = [word for row in rows for word in row[3:] if word != "…"]
    assert len(figures) == 2 + 1 + 2 + 2  # means, difference, interval, both p
    assert f"urban100 psnr: {names[1]} is better" in done.out


def test_the_command_refuses_unlike_results_with_a_message(tmp_path: Path) -> None:
    _records(tmp_path, benchmark="others")
    done = command("report", f"compare=[{tmp_path}/a,{tmp_path}/b]")
    assert done.code == 1
    assert "cannot be compared" in done.err


def test_three_results_are_not_compared(tmp_path: Path) -> None:
    done = command("report", "compare=[a,b,c]")
    assert done.code == 2
    assert "compare takes two results" in done.err


def test_two_records_of_one_checkpoint_are_named_by_their_folders(tmp_path: Path) -> None:
    for folder, scores in (("whole", FIRST), ("tiled", SECOND)):
        write_evaluation(tmp_path / folder, scores, name="net")
    done = command("report", f"compare=[{tmp_path}/whole,{tmp_path}/tiled]")
    assert done.code == 0, done.err
    assert "photos psnr: tiled is better" in done.out


def test_all_else_that_differs_stands_beside_the_verdict(tmp_path: Path) -> None:
    common = {"dtype": "float32", "model": {"_target_": "net", "channels": 32}, "parameters": 10}
    training = {"data": {"train_dir": "a"}, "trainer": {"max_steps": 10}, "chosen_on": ["photos"]}
    write_evaluation(tmp_path / "a", FIRST, name="a", **common, step=10, training=training)
    changed = {
        "inference": {"tile": 48},
        "model": {"_target_": "net", "channels": 48},
        "parameters": 20,
        "training": {"data": {"train_dir": "b"}, "trainer": {"max_steps": 60}, "chosen_on": []},
    }
    write_evaluation(tmp_path / "b", SECOND, name="b", **{**common, **changed})
    done = command("report", f"compare=[{tmp_path}/a,{tmp_path}/b]", f"output={tmp_path}/c.json")
    assert done.code == 0, done.err
    written = {key: (one, other) for key, one, other in json.loads(
        (tmp_path / "c.json").read_text())["also_different"]}  # fmt: skip
    assert written == {
        "step": ("10", "not recorded"),
        "parameters": ("10", "20"),
        "model.channels": ("32", "48"),
        "inference.tile": ("auto", "48"),
        "training.data.train_dir": ("a", "b"),
        "training.trainer.max_steps": ("10", "60"),
        "training.chosen_on": ("['photos']", "[]"),
    }
    assert all(key in done.out for key in written)


def test_it_is_said_where_nothing_else_differs(tmp_path: Path) -> None:
    _records(tmp_path)
    done = command("report", f"compare=[{tmp_path}/a,{tmp_path}/b]")
    assert "Nothing else that the records know of differs." in done.out


def test_evaluations_of_several_seeds_are_compared_by_their_means_with_the_spread(
    tmp_path: Path,
) -> None:
    for seed in range(3):
        scores = {key: score + seed for key, score in FIRST.items()}
        training = {"seed": seed, "data": {"seed": seed, "train_dir": "a"}}
        write_evaluation(tmp_path / f"ours/{seed}", scores, name=str(seed), training=training)
    write_evaluation(tmp_path / "theirs", FIRST, name="theirs")
    done = command("report", f"compare=[{tmp_path}/theirs,{tmp_path}/ours]")
    assert done.code == 0, done.err
    mean = np.mean(list(FIRST.values())) + 1
    assert f"ours (3 seeds): {mean:.4f} ± 0.5774 (standard error; deviation 1.0000)" in done.out
    assert "photos psnr: ours (3 seeds) is better" in done.out


def test_evaluations_that_differ_in_more_than_the_seed_are_not_taken_together(
    tmp_path: Path,
) -> None:
    for seed in range(2):
        training = {"seed": seed, "data": {"train_dir": "ab"[seed]}}
        write_evaluation(tmp_path / f"ours/{seed}", FIRST, training=training)
    done = command("report", f"compare=[{tmp_path}/ours,{tmp_path}/ours/0]")
    assert done.code == 1
    assert "differ in training.data.train_dir" in done.err
