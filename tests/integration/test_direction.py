"""Of a score of which less is better, a training keeps the least and a search seeks it."""

import csv
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support.runs import TINY, command

LENGTH = ("trainer.max_steps=6", "trainer.val_check_interval=1")


def worse_each_time(restored: Tensor, target: Tensor) -> Tensor:
    """Return 1, 2, 3, …: each image's is larger than that of the one before."""
    worse_each_time.count = getattr(worse_each_time, "count", 0) + 1  # type: ignore[attr-defined]
    return torch.full((len(restored),), float(worse_each_time.count))  # type: ignore[attr-defined]


METRIC = f"+metrics.%s={{_target_: {__name__}.worse_each_time, _partial_: true}}"


def _best(run: Path, score: str) -> tuple[int, dict[float, int]]:
    """Return the step of ``best.ckpt``, and score → step of each validation."""
    kept = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    rows = csv.DictReader((run / "metrics.csv").read_text().splitlines())
    steps = {float(row[score]): int(row["step"]) + 1 for row in rows if row[score]}
    return kept["global_step"], steps


@pytest.mark.long
def test_the_best_checkpoint_has_the_least_distance(tmp_path: Path) -> None:
    words = (METRIC % "lpips", "monitor=val/lpips", f"hydra.run.dir={tmp_path}/run")
    done = command("train", *TINY, *LENGTH, *words)
    assert done.code == 0, done.err
    step, steps = _best(tmp_path / "run", "val/lpips")
    assert step == steps[min(steps)] == 1


@pytest.mark.long
def test_the_best_checkpoint_has_the_least_loss_also_after_a_resume(tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = command("train", *TINY, *LENGTH, "monitor=train/loss", f"hydra.run.dir={run}")
    assert done.code == 0, done.err
    step, steps = _best(run, "train/loss")
    assert step == steps[min(steps)]
    done = command("train", f"resume={run}", "trainer.max_steps=9")
    assert done.code == 0, done.err
    step, steps = _best(run, "train/loss")
    assert len(steps) == 9
    assert step == steps[min(steps)]


@pytest.mark.long
def test_an_unknown_direction_is_refused_before_a_run_folder_is_made(tmp_path: Path) -> None:
    words = (METRIC % "odd", "monitor=val/odd", f"hydra.run.dir={tmp_path}/run")
    done = command("train", *TINY, *LENGTH, *words)
    assert done.code == 2
    assert "monitor_mode=min or monitor_mode=max" in done.err
    assert not (tmp_path / "run").exists()
    done = command("train", *TINY, *LENGTH, *words, "monitor_mode=max")
    assert done.code == 0, done.err
    kept = torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)
    assert kept["global_step"] == 6


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "direction"),
    [
        ((), "MAXIMIZE"),
        ((METRIC % "mae", "monitor=val/mae"), "MINIMIZE"),
        ((METRIC % "odd", "monitor=val/odd", "monitor_mode=min"), "MINIMIZE"),
        (("hydra.sweeper.direction=minimize",), "MINIMIZE"),
    ],
)
def test_a_search_seeks_what_is_best(
    tmp_path: Path, words: tuple[str, ...], direction: str
) -> None:
    optuna = pytest.importorskip("optuna", reason="the extra 'sweep' is not installed")
    search = ("-m", "hydra/sweeper=optuna", "optimizer.lr=interval(1e-5,1e-2)")
    study = ("hydra.sweeper.n_trials=1", "hydra.sweeper.study=s", f"paths.output_root={tmp_path}")
    done = command("train", *TINY, "trainer.max_steps=1", *search, *study, *words)
    assert done.code == 0, done.err
    begun = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/studies/s.db")
    assert begun.direction.name == direction
    other = "maximize" if direction == "MINIMIZE" else "minimize"
    done = command("train", *TINY, *search, *study, f"hydra.sweeper.direction={other}")
    assert f"hydra.sweeper.direction={direction.lower()}" in done.err


@pytest.mark.parametrize("name", ["val/psnrr", "val_psnr"])
def test_a_misspelt_monitor_is_refused_before_the_first_step(tmp_path: Path, name: str) -> None:
    done = command("train", *TINY, *LENGTH, f"monitor={name}", f"hydra.run.dir={tmp_path}/run")
    assert done.code == 2
    assert "Did you mean" in done.err
    assert "val/psnr" in done.err
    assert not (tmp_path / "run").exists()
