"""Benchmarks scored under several conditions in training; the switches beside it."""

import csv
import json
import re
from pathlib import Path

import pytest

from tests.support.images import write_folder
from tests.support.runs import TINY, command, train_tiny


def _last_row(folder: Path) -> dict[str, str]:
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["val/psnr"]]
    return rows[-1]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    names = ("first", "second")
    first, second = (write_folder(tmp_path / n, seed=len(n), height=32, width=40) for n in names)
    return first, second


@pytest.mark.long
def test_each_set_is_scored_at_each_level_as_evaluation_scores_it(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    both, run = f"[{folders[0]},{folders[1]}]", tmp_path / "run"
    tiny = [word for word in TINY if word != "data=synthetic"]
    data = ("data=folder", f"data.train_dir={folders[0]}", f"data.val_dir={both}")
    length = ("trainer.max_steps=1", "trainer.val_check_interval=1", f"hydra.run.dir={run}")
    done = command("train", *tiny, *data, "val_conditions={sigma:[15,7.5]}", *length)
    assert done.code == 0, done.err
    row = _last_row(run)
    assert row["val/psnr"] == row["val/first_sigma_15/psnr"]  # the first decides
    last, output = run / "checkpoints/last.ckpt", tmp_path / "scores"
    where = (f"output={output}", "images=false", "device=cpu")
    done = command("evaluate", f"checkpoint={last}", f"sets={both}", "sigma=[15,7.5]", *where)
    assert done.code == 0, done.err
    combinations = json.loads((output / "summary.json").read_text())["combinations"]
    assert len(combinations) == 4
    for combination in combinations:
        name = f"{combination['benchmark']}_sigma_{combination['condition']['sigma']}"
        logged = float(row[f"val/{name}/psnr"])
        assert combination["mean"]["psnr"] == pytest.approx(logged, abs=1e-3), name


@pytest.mark.long
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{sigma:15}", "val_conditions"),
        ("{quality:[10]}", "gaussian has no quality"),
        ("{sigma:[15],phase:[rggb]}", "levels of one of"),
        ("{sigma:[]}", "levels of one of"),
        ("{sigma:[15,15]}", "levels of one of"),
        ("{sigma:[a]}", "levels of one of"),
        ("{scale:[2]}", "levels of one of"),
    ],
)
def test_conditions_that_cannot_be_are_refused(given: str, said: str, tmp_path: Path) -> None:
    done = command("train", *TINY, f"val_conditions={given}", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code != 0
    assert said in done.err
    assert not (tmp_path / "run").exists()


def test_conditions_of_pairs_are_refused_without_naming_a_degradation(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    first, second = folders
    pairs = (f"data.target_dir={first}", f"data.input_dir={second}", "data=pairs")
    scored = (f"data.val_target_dir={first}", f"data.val_input_dir={second}")
    tiny = [word for word in TINY if word != "data=synthetic"]
    words = (*pairs, *scored, "val_conditions={sigma:[15]}", f"hydra.run.dir={tmp_path / 'run'}")
    done = command("train", *tiny, *words)
    assert done.code != 0
    assert "sigma=15: nothing is degraded here, as with pairs; leave it out" in done.err
    assert "degradation=gaussian" not in done.err


@pytest.mark.long
def test_the_length_of_the_gradient_is_logged_where_asked(tmp_path: Path) -> None:
    train_tiny(tmp_path / "run", "callbacks.non_finite_guard.log_norm=true")
    with (tmp_path / "run/metrics.csv").open(newline="") as file:
        norms = [row["train/grad_norm"] for row in csv.DictReader(file) if row["train/loss"]]
    assert len(norms) == 2
    assert all(float(norm) > 0 for norm in norms)


@pytest.mark.long
@pytest.mark.parametrize("word", ["scheduler=constant", "optimizer.lr=0", "trainer.max_steps=2"])
def test_a_finder_that_cannot_find_is_refused(word: str, tmp_path: Path) -> None:
    where = f"hydra.run.dir={tmp_path / 'run'}"
    done = command("train", *TINY, "debug=lr_finder", "trainer.max_steps=4", word, where)
    assert done.code == 2, done.err
    assert "debug=lr_finder takes" in done.err


@pytest.mark.long
def test_the_finder_names_a_rate_and_leaves_the_table(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("debug=lr_finder", "trainer.max_steps=40", "optimizer.lr=10", f"hydra.run.dir={run}")
    done = command("train", *TINY, *words)
    assert done.code == 0, done.err
    said = (run / "train.log").read_text()
    found = re.search(r"try optimizer\.lr=([\d.e-]+)", said)
    assert found, said
    with (run / "lr_finder.csv").open(newline="") as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(10 * 1e-6, rel=1e-3)
    assert rates[len(rates) // 10 - 1] < float(found[1]) < rates[-1]
    assert "resume=" not in done.out + done.err
    assert "Score it" not in done.out + done.err
