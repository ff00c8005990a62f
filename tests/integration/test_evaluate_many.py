"""Several checkpoints, image sets and conditions in one command."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.images import write_folder
from tests.support.runs import Finished, command


def _sets(tmp_path: Path) -> str:
    for index, name in enumerate(("one", "two")):
        write_folder(tmp_path / "sets" / name, 2, seed=index)
    return f"sets=[{tmp_path}/sets/one,{tmp_path}/sets/two]"


def _many(tmp_path: Path, *words: str) -> Finished:
    cache = f"paths.cache_dir={tmp_path / 'cache'}"
    output = f"output={tmp_path / 'out'}"
    return command("evaluate", *words, output, cache, "images=false", "device=cpu")


def _json(file: Path) -> Any:  # noqa: ANN401
    return json.loads(file.read_text())


@pytest.mark.long
def test_every_combination_leaves_what_it_would_alone(trained: Path, tmp_path: Path) -> None:
    names = (
        f"checkpoint={{best:{trained}/checkpoints/best.ckpt,last:{trained}/checkpoints/last.ckpt}}"
    )
    done = _many(tmp_path, names, _sets(tmp_path), "sigma=[15,50]")
    assert done.code == 0, done.err
    assert "±  standard error: over the images of a set" in done.out
    rows = _json(tmp_path / "out/summary.json")["combinations"]
    assert [(r["name"], r["benchmark"], r["condition"]) for r in rows] == [
        (name, benchmark, {"sigma": sigma})
        for name in ("best", "last")
        for benchmark in ("one", "two")
        for sigma in (15, 50)
    ]
    record = _json(tmp_path / "out/last/two/sigma_50/results.json")
    assert record["degradation"]["sigma"] == [50, 50]
    alone = command(
        "evaluate",
        f"checkpoint={trained}/checkpoints/last.ckpt",
        f"sets={tmp_path}/sets/two",
        "sigma=50",
        f"output={tmp_path / 'alone'}",
        f"paths.cache_dir={tmp_path / 'cache'}",
        "images=false",
        "device=cpu",
    )
    assert alone.code == 0, alone.err
    assert _json(tmp_path / "alone/results.json")["benchmarks"] == record["benchmarks"]
    with (tmp_path / "out/summary.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(row["psnr"]) for row in table] == [row["mean"]["psnr"] for row in rows]


@pytest.mark.long
def test_a_record_says_by_what_and_at_what_cost(tmp_path: Path) -> None:
    done = _many(tmp_path, "task=denoise", "model=identity", _sets(tmp_path), "sigma=[10,20]")
    assert done.code == 0, done.err
    first, second = (_json(tmp_path / f"out/one/sigma_{sigma}/results.json") for sigma in (10, 20))
    assert first["command"].startswith("python -m src.evaluate task=denoise")
    assert first["took"]["wall_seconds"] > 0
    assert first["took"]["peak_memory_mib"] > 1
    assert first["dtype"] == "float32"
    assert {"torch", "python"} <= set(first["scored_by"]["packages"])
    assert first["config_sha256"] != second["config_sha256"]  # another noise level
    other = _json(tmp_path / "out/two/sigma_10/results.json")
    assert first["config_sha256"] != other["config_sha256"]  # other pixels


@pytest.mark.long
def test_a_combination_that_fails_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    sets = _sets(tmp_path)
    (tmp_path / "sets/one/b.png").write_bytes(b"no image")
    done = _many(tmp_path, "task=denoise", "model=identity", sets)
    assert done.code == 1
    assert "1 of 2 combinations failed" in done.err
    assert "b.png" in done.err
    failed, scored = _json(tmp_path / "out/summary.json")["combinations"]
    assert "b.png" in failed["error"]
    assert scored["images"] == 2
    assert (tmp_path / "out/two/results.json").is_file()


@pytest.mark.long
def test_each_job_of_a_sweep_has_a_record_of_its_own(tmp_path: Path) -> None:
    folder = _sets(tmp_path).removeprefix("sets=[").partition(",")[0]
    words = ("task=denoise", "model=identity", "sigma=15,50", f"hydra.sweep.dir={tmp_path / 's'}")
    done = _many(tmp_path, "-m", *words, f"sets={folder}")
    assert done.code == 0, done.err
    records = [_json(tmp_path / f"out/{job}/results.json") for job in range(2)]
    assert [record["degradation"]["sigma"] for record in records] == [[15, 15], [50, 50]]


@pytest.mark.long
def test_a_metric_of_ones_own_that_fails_is_said_to_be_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_score.py").write_text("def bad(restored, target):\n    return target.none\n")
    monkeypatch.syspath_prepend(tmp_path)
    metric = "+metrics.bad={_target_: own_score.bad, _partial_: true}"
    words = ("task=denoise", "model=identity", _sets(tmp_path), "metrics=distortion", metric)
    done = _many(tmp_path, *words)
    assert done.code == 1
    assert "2 of 2 combinations failed" in done.err
    assert "(raised in metrics.bad (own_score.bad))" in done.err


@pytest.mark.long
def test_how_sets_are_read_may_be_said(tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    cache = f"data.cache_dir={tmp_path / 'decoded'}"
    done = _many(tmp_path, "task=denoise", "model=identity", _sets(tmp_path), cache)
    assert done.code == 0, done.err
    assert any((tmp_path / "decoded").iterdir())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("sets=[sett14]",), "Did you mean set14"),
        (("sets=[]",), "sets=[] names none"),
        (("sigma=[15,15]",), "sigma names 15 twice"),
        (("sets=set5", "data=folder"), "both say what is scored"),
        (("sets=set5", "data.channels=1"), "both say what is scored"),
        (("data=synthetic", "quality=10"), "has no quality"),
        (("data=folder", "+data.input_dir=x", "data.val_dir=y"), "nothing is trained here"),
        (("data=synthetic", "realisations=0"), "realisations=0 must be 1 or more"),
        (("data=synthetic", "scale=2"), "only super-resolution has a scale"),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_is_scored(
    words: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    done = command(
        "evaluate", "task=denoise", "model=identity", *words, f"output={tmp_path / 'out'}"
    )
    assert done.code in {1, 2}
    assert says in done.err
    assert not (tmp_path / "out").exists()


def test_a_trained_scale_cannot_be_changed(trained: Path, tmp_path: Path) -> None:
    done = _many(tmp_path, f"checkpoint={trained}", "scale=2")
    assert done.code == 2
    assert "was trained for ×1" in done.err


def test_a_missing_checkpoint_of_several_stops_all(trained: Path, tmp_path: Path) -> None:
    done = _many(tmp_path, f"checkpoint=[{trained},{tmp_path}/nowhere]")
    assert done.code == 1
    assert "nowhere: no checkpoint there" in done.err
    assert not (tmp_path / "out").exists()
