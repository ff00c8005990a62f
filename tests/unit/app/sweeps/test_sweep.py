"""What is left of the jobs of a sweep, whole or not."""

import csv
from pathlib import Path

import pytest

from src.app.sweeps.sweep import DONE, FAILED, LOST, JobResult, read_results, was_cut_short
from src.app.sweeps.table import CHOSEN_ON, concluded, write_results
from src.core.errors import ConfigError, ExemplarError


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"number": 1}', "null"])
def test_a_damaged_record_of_a_job_is_named_and_ends_no_summary(
    content: str, tmp_path: Path
) -> None:
    JobResult(0, ["seed=0"], str(tmp_path / "0"), status="done", score=1.0).write()
    (tmp_path / "1").mkdir()
    (tmp_path / "1/sweep_job.json").write_text(content)
    results = read_results(tmp_path)
    assert [result.status for result in results] == ["done", LOST]
    assert "sweep_job.json is damaged" in results[1].message
    write_results(tmp_path, results)
    assert was_cut_short(tmp_path / "1")


def test_a_table_of_jobs_holds_no_formula_and_every_number(tmp_path: Path) -> None:
    for number, value in enumerate(("=1+1", "@SUM(A1)", "-0.5", "+x", "plain")):
        words = [f"model.name={value}", f"seed={number}"]
        JobResult(number, words, str(tmp_path / str(number)), status="done").write()
    write_results(tmp_path, read_results(tmp_path))
    with (tmp_path / "sweep_results.csv").open(newline="", encoding="utf-8") as file:
        values = [row["model.name"] for row in csv.DictReader(file)]
    assert values == ["'=1+1", "'@SUM(A1)", "-0.5", "'+x", "plain"]


@pytest.mark.parametrize("metric", ["val/psnr", ""])
def test_scores_of_validations_are_said_to_choose_the_checkpoint(
    metric: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    JobResult(0, ["seed=0"], str(tmp_path / "0"), status="done", score=1.0, metric=metric).write()
    with concluded(tmp_path):
        pass
    assert (CHOSEN_ON in capsys.readouterr().err) == bool(metric)


def test_a_sweep_that_is_refused_shows_no_results_of_an_earlier_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    JobResult(0, ["seed=0"], str(tmp_path / "0"), status="done", score=1.0).write()
    with pytest.raises(ConfigError), concluded(tmp_path):
        raise ConfigError("model/attention=squeze")
    assert capsys.readouterr().err == ""
    with pytest.raises(ConfigError), concluded(tmp_path):
        _refused_after_a_job(tmp_path)
    assert "Sweep" in capsys.readouterr().err


def _refused_after_a_job(sweep: Path) -> None:
    """Do what a search may: its later trials are composed only then."""
    JobResult(1, ["seed=1"], str(sweep / "1"), status="done", score=2.0).write()
    raise ConfigError("model.channels=33")


def _job(folder: Path, status: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    JobResult(0, [], str(folder), status=status).write()


def test_a_cell_that_an_earlier_start_left_unfinished_does_not_fail_one_that_ran_others(
    tmp_path: Path,
) -> None:
    _job(tmp_path / "0-window", FAILED)
    with concluded(tmp_path):
        _job(tmp_path / "0-none", DONE)
    with pytest.raises(ExemplarError, match="1 of 3 jobs did not finish: 1-none"):  # noqa: SIM117
        with concluded(tmp_path):
            _job(tmp_path / "1-none", FAILED)
    with pytest.raises(ExemplarError, match="did not finish: 0-window"):  # noqa: SIM117
        with concluded(tmp_path):
            _job(tmp_path / "0-window", FAILED)


def test_a_job_that_fails_in_each_start_of_a_sweep_fails_each(tmp_path: Path) -> None:
    """The words of a start are those of all its jobs: whatever did not finish was asked for."""
    _job(tmp_path / "0", FAILED)
    with pytest.raises(ExemplarError, match="1 of 1 jobs did not finish: 0"), concluded(tmp_path):
        pass
