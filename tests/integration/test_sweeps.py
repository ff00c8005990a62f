"""A sweep that is repeated, edited meanwhile, or could not score, with the real command."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from src.app.config.check import Request, composed
from src.app.config.typed import with_config_dir
from src.app.sweeps.frozen import open_sweep
from src.app.sweeps.sweep import JobResult, score_direction, score_name
from src.app.sweeps.table import over_seeds, table_of, table_of_seeds, varied_keys, write_results
from src.commands.cli.sweep import refuse_unscored
from src.core.errors import ConfigError
from tests.support.runs import TINY, Finished, command

LENGTH = ("trainer.max_steps=2", "trainer.val_check_interval=1000")


def _sweep(folder: Path, *words: str) -> Finished:
    return command("train", "-m", *TINY, *LENGTH, f"hydra.sweep.dir={folder}", *words)


def _results(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "sweep_results.json").read_text())
    return found


@pytest.mark.long
def test_a_repeated_sweep_keeps_the_jobs_that_are_done(tmp_path: Path) -> None:
    first = _sweep(tmp_path, "seed=0,1")
    assert first.code == 0, first.err
    before = _results(tmp_path)
    assert all(isinstance(result["score"], float) for result in before)

    refused = _sweep(tmp_path, "seed=0,1")
    assert refused.code == 2
    assert "resume=auto" in refused.err
    other = _sweep(tmp_path, "seed=5,0", "resume=auto")
    assert other.code == 2
    assert "its jobs would be others" in other.err
    assert _results(tmp_path) == before

    again = _sweep(tmp_path, "seed=0,1,2", "resume=auto")
    assert again.code == 0, again.err
    assert "job 0 is done already" in again.err
    after = _results(tmp_path)
    assert after[:2] == before
    assert isinstance(after[2]["score"], float)


def _experiment(folder: Path, rate: str) -> Path:
    file = folder / "experiment/mine.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"# @package _global_\noptimizer: {{lr: {rate}}}\n", encoding="utf-8")
    return file


@pytest.mark.long
@pytest.mark.parametrize("sweeper", ["", "optuna"])
def test_a_key_of_some_options_goes_to_the_jobs_that_have_it(tmp_path: Path, sweeper: str) -> None:
    words = ["model/attention=none,channel", "model.attention.reduction=2,4"]
    if sweeper:
        words += ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", "hydra.sweeper.seed=1"]
    done = _sweep(tmp_path, *words)
    assert done.code == 0, done.err
    assert "jobs have no such key" in done.out + done.err
    jobs = [dict(word.split("=") for word in job["overrides"]) for job in _results(tmp_path)]
    pairs = [(job["model/attention"], job.get("model.attention.reduction")) for job in jobs]
    if not sweeper:
        assert pairs == [("none", None), ("channel", "2"), ("channel", "4")]
    assert all((which == "none") == (reduction is None) for which, reduction in pairs)


@pytest.mark.long
def test_a_file_edited_while_a_sweep_runs_changes_no_job(tmp_path: Path) -> None:
    _experiment(tmp_path / "conf", "1e-4")
    typed = ("experiment=mine", "seed=0,1", f"hydra.sweep.dir={tmp_path / 'sweep'}", "resume=auto")
    words = tuple(with_config_dir(typed, str(tmp_path / "conf")))
    request = Request("train", words, multirun=True)
    with composed(request) as accepted:
        sweep = open_sweep(request, accepted.cfg, started_again=False)
    edited = _experiment(tmp_path / "conf", "7e-4")
    path = next(text for text in sweep.request.overrides if "searchpath" in text)
    with initialize_config_dir(sweep.request.config_dir, version_base="1.3"):
        cfg = compose("train", overrides=["experiment=mine", path])
    assert cfg.optimizer.lr == 1e-4

    (tmp_path / "sweep/0").mkdir()
    (tmp_path / "sweep/0/config.yaml").touch()  # a job has begun
    with composed(request) as accepted:
        again = open_sweep(request, accepted.cfg, started_again=False)
    assert again.request == sweep.request
    assert again.changed == (str(edited),)


def _comparison(folder: Path) -> Request:
    cells = ("hydra/sweeper=cells", f"hydra.sweeper.folder={folder}", "resume=auto")
    typed = (*cells, f"hydra.sweep.dir={folder / 'cells'}", "experiment=mine")
    return Request("train", tuple(with_config_dir(typed, str(folder / "conf"))), multirun=True)


@pytest.mark.long
def test_two_starts_of_a_comparison_at_one_moment_both_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _experiment(tmp_path / "conf", "1e-4")
    request, rename = _comparison(tmp_path), Path.rename

    def later(path: Path, target: Path) -> Path:
        shutil.copytree(path, target)  # as the other one has done meanwhile
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", later)
    with composed(request) as accepted:
        sweep = open_sweep(request, accepted.cfg, started_again=False)
    assert Path(sweep.request.config_dir).is_dir()
    assert not list((tmp_path / "cells").glob(".frozen*"))


@pytest.mark.long
def test_a_comparison_that_goes_on_knows_the_files_that_have_come_since(tmp_path: Path) -> None:
    _experiment(tmp_path / "conf", "1e-4")
    request, begun = _comparison(tmp_path), []
    for rate in ("1e-4", "7e-4"):
        _experiment(tmp_path / "conf", rate)
        with composed(request) as accepted:
            sweep = open_sweep(request, accepted.cfg, started_again=False)
        path = next(text for text in sweep.request.overrides if "searchpath" in text)
        with initialize_config_dir(sweep.request.config_dir, version_base="1.3"):
            assert compose("train", overrides=["experiment=mine", path]).optimizer.lr == float(rate)
        assert sweep.changed == ()
        (tmp_path / "cells/0-none").mkdir(exist_ok=True)
        (tmp_path / "cells/0-none/config.yaml").touch()  # a cell has begun
        begun.append(sweep)
    with initialize_config_dir(begun[0].request.config_dir, version_base="1.3"):
        path = next(text for text in begun[0].request.overrides if "searchpath" in text)
        first = compose("train", overrides=["experiment=mine", path])
    assert first.optimizer.lr == 1e-4  # one that still runs is not disturbed


@pytest.mark.parametrize(
    ("name", "config", "best"),
    [
        ("train", {"monitor": "val/psnr"}, 1),
        ("train", {"monitor": "val/set5/lpips"}, 0),
        ("train", {"monitor": "train/loss"}, 0),
        ("train", {"monitor": "val/odd", "monitor_mode": "min"}, 0),
        ("train", {"monitor": "val/q", "metrics.q._target_": "src.metrics.perceptual.dists"}, 0),
        ("evaluate", {"metrics.lpips._target_": "src.metrics.perceptual.lpips"}, 0),
        ("benchmark", {"forms": ["dense"]}, 0),  # seconds
        ("predict", {}, None),
    ],
)
def test_the_row_of_the_best_score_is_bold(
    name: str, config: dict[str, Any], best: int | None
) -> None:
    jobs = [JobResult(number, [], "", "done", score=1.0 + number) for number in range(2)]
    for job in jobs:
        job.higher_is_better = score_direction(name, config)
    bold = [row.style == "bold" for row in table_of(jobs)._rows]
    assert bold == [best == number for number in range(2)]


def test_scores_with_other_directions_have_no_best() -> None:
    jobs = [JobResult(number, [], "", "done", score=1.0) for number in range(2)]
    jobs[0].higher_is_better, jobs[1].higher_is_better = True, False
    assert not any(row.style == "bold" for row in table_of(jobs)._rows)


def test_the_table_shows_what_differs_in_the_configurations() -> None:
    def job(number: int, rate: str, blocks: int) -> JobResult:
        words = [f"seed={number}", f"model={'ab'[number]}"]
        made = JobResult(number, words, "", status="done")
        made.config = {"seed": number, "optimizer.lr": rate, "model.blocks": blocks, "x": "${seed}"}
        return made

    lost = JobResult(2, [], "")
    jobs = [job(0, "1e-4", 2), job(1, "7e-4", 4), lost]
    assert varied_keys(jobs) == ["seed", "model", "optimizer.lr"]
    assert jobs[1].value("optimizer.lr") == "7e-4"


@pytest.mark.long
@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("trainer.limit_val_batches=0", "nothing would be validated"),
        ("~data.benchmarks.synthetic", "no image to score"),
        ("monitor=val/psnrr", "Did you mean val/psnr"),
        ("monitor=train/lr", "monitor_mode=min or monitor_mode=max"),
    ],
)
@pytest.mark.parametrize("sweeper", [(), ("hydra/sweeper=optuna",)], ids=["grid", "search"])
def test_a_sweep_that_cannot_score_is_refused(
    sweeper: tuple[str, ...], word: str, says: str
) -> None:
    if sweeper:
        pytest.importorskip("optuna", reason="the extra 'sweep' is not installed")
    words = (*TINY, "optimizer.lr=1e-4,1e-3", word, *sweeper)
    with composed(Request("train", words, multirun=True)) as accepted:
        first = accepted.plain[0]
    with pytest.raises(ConfigError, match=says):
        refuse_unscored(first)


@pytest.mark.long
def test_a_run_with_options_of_ones_own_goes_on_by_the_printed_line(tmp_path: Path) -> None:
    conf, run = tmp_path / "conf", tmp_path / "run"
    _experiment(conf, "3e-4")
    (conf / "protocol").mkdir()
    (conf / "protocol/mine.yaml").write_text("defaults: [denoise_rgb_clip8]\n", encoding="utf-8")
    flag = ("--config-dir", str(conf), "experiment=mine")
    done = command("train", *TINY, *LENGTH, f"hydra.run.dir={run}", *flag)
    assert done.code == 0, done.err
    done = command("train", f"resume={run}", "trainer.max_steps=3")
    assert done.code == 0, done.err
    scored = command("evaluate", f"checkpoint={run}", "protocol=mine", "device=cpu")
    assert scored.code == 0, scored.err

    moved = conf.rename(tmp_path / "moved")
    done = command("train", f"resume={run}", "trainer.max_steps=4")
    assert done.code == 2
    assert f"there is no folder {conf}" in done.err
    given = f"hydra.searchpath=[file://{moved}]"
    done = command("train", f"resume={run}", "trainer.max_steps=4", given)
    assert done.code == 0, done.err
    done = command("train", f"resume={run}", "trainer.max_steps=5")
    assert done.code == 0, done.err


def _job(number: int, score: float | None, **settings: object) -> JobResult:
    words = [f"{key}={value}" for key, value in settings.items()]
    status = "failed" if score is None else "done"
    return JobResult(number, words, "", status, score=score, metric="val/psnr")


def test_scores_that_only_the_seed_tells_apart_have_a_mean_and_a_spread(tmp_path: Path) -> None:
    jobs = [
        *(_job(seed, 30.0 + seed, model="a", seed=seed) for seed in range(3)),
        *(_job(3 + seed, 31.0 + 2 * seed, model="b", seed=seed) for seed in range(2)),
        _job(5, None, model="b", seed=2),
    ]
    first, second = over_seeds(jobs)
    assert (first["model"], first["seeds"], first["mean"], first["standard_deviation"]) == (
        "a",
        3,
        31.0,
        1.0,
    )
    assert (second["model"], second["seeds"], second["mean"]) == ("b", 2, 32.0)
    write_results(tmp_path, jobs)
    assert (
        (tmp_path / "sweep_seeds.csv")
        .read_text()
        .startswith("model,seeds,metric,mean,standard_deviation,standard_error")
    )
    assert table_of_seeds([first])._rows[0].cells[-1].plain == "31.0000 ± 0.5774"


def test_a_sweep_without_seeds_has_no_such_table(tmp_path: Path) -> None:
    jobs = [_job(0, 30.0, model="a", seed=0), _job(1, 31.0, model="b", seed=0)]
    assert over_seeds(jobs) == []
    write_results(tmp_path, jobs)
    assert not (tmp_path / "sweep_seeds.csv").exists()


def test_the_column_of_scores_is_named_after_the_score() -> None:
    assert "val/psnr" in table_of([_job(0, 30.0, seed=0)])._headings
    assert score_name("train", {"monitor": "val/ssim"}) == "val/ssim"
    assert score_name("benchmark", {}) == "seconds"
