"""What a user sees and finds on disk after a command: help, exit codes, folders, crash log."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from src.app.config.options import all_groups, new_folder, register_resolvers
from src.core.paths import ROOT
from tests.support.compose import compose_config

TINY = ("model=panet_tiny", "data=synthetic", "debug=smoke", "trainer=cpu")
ROOTED = "paths.output_root="
GIVEN = ("checkpoint=a", "input=b")


def _python(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        check=False,
    )


def _launch(job: str, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one of tests/support/jobs.py as ``predict`` runs its own."""
    code = (
        "from src.commands.cli.launch import launch; from tests.support import jobs; "
        f"launch('predict', jobs.{job})"
    )
    places = (f"paths.output_root={folder / 'runs'}", f"output={folder / 'out'}")
    return _python("-c", code, *GIVEN, *places, *words, cwd=folder)


@pytest.mark.long
@pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
def test_help_explains_the_command_without_importing_torch(command: str, tmp_path: Path) -> None:
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{command}', '--help']\n"
        "try:\n"
        f"    runpy.run_module('src.{command}', run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'lightning', 'albumentations', 'wandb'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = _python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"python -m src.{command}" in done.stdout
    assert "COMMON OVERRIDES" in done.stdout
    assert "OUTPUT" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_help_of_train_names_every_group_and_hides_parts(tmp_path: Path) -> None:
    said = _python("-m", "src.train", "--help", cwd=tmp_path).stdout
    for group in {*all_groups()} - {"dataset"}:  # of `prepare`
        assert f"\n  {group} " in said
    assert "_base" not in said
    assert "RESUME" in said
    assert "SWEEP" in said
    # the help of Hydra itself, which lists groups of its own too
    usual = _python("-m", "src.train", "--help", "hydra/help=default", cwd=tmp_path).stdout
    assert "model/attention: " in usual


@pytest.mark.long
def test_cfg_shows_the_configuration_and_makes_no_folder(tmp_path: Path) -> None:
    words = ("--cfg", "job", "seed=7", f"paths.output_root={tmp_path / 'runs'}")
    done = _python("-m", "src.train", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "seed: 7" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_command_without_a_run_folder_writes_only_where_it_is_told(tmp_path: Path) -> None:
    done = _launch("succeed", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "auto.done"]


@pytest.mark.long
def test_a_refused_job_says_why_without_a_traceback(tmp_path: Path) -> None:
    done = _launch("refuse_cpu", "device=cpu", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: the folder holds no image\n"


@pytest.mark.slow  # imports everything
def test_a_run_that_is_refused_leaves_no_folder(tmp_path: Path) -> None:
    done = _python("-m", "src.train", *TINY, "model.blocks=3", f"{ROOTED}{tmp_path}", cwd=tmp_path)
    assert done.returncode == 2
    assert "blocks=3 is odd" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("2*"))


def test_a_fault_of_the_program_keeps_its_traceback_and_is_written_down(tmp_path: Path) -> None:
    done = _launch("break_down", folder=tmp_path)
    log = tmp_path / "runs/crash.log"
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert str(log) in done.stderr
    assert "ZeroDivisionError" in log.read_text()


def test_an_interrupt_ends_with_130_and_no_traceback(tmp_path: Path) -> None:
    done = _launch("be_interrupted", folder=tmp_path)
    assert done.returncode == 130
    assert done.stderr == "Interrupted.\n"


@pytest.mark.long
def test_a_sweep_goes_on_after_a_refused_job_and_says_which_failed(tmp_path: Path) -> None:
    done = _launch("refuse_cpu", "-m", "device=cpu,cuda", folder=tmp_path)
    assert done.returncode == 1
    assert "job 0 (" in done.stderr
    assert "device=cpu" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out/cuda.done").exists()


@pytest.mark.long
def test_a_sweep_leaves_a_table_of_results_and_failures(tmp_path: Path) -> None:
    done = _launch("refuse_cpu", "-m", "device=cpu,cuda", folder=tmp_path)
    (sweep,) = (tmp_path / "runs/multirun").iterdir()
    assert "1 of 2 jobs did not finish: 0" in done.stderr
    results = json.loads((sweep / "sweep_results.json").read_text())
    assert [(result["status"], result["score"]) for result in results] == [
        ("failed", None),
        ("done", 1.0),
    ]
    assert "holds no image" in results[0]["message"]
    with (sweep / "sweep_results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["device"], row["status"]) for row in rows] == [("cpu", "failed"), ("cuda", "done")]
    for words in (("0", "cpu", "failed"), ("1", "cuda", "1.0000")):
        assert any(all(word in line for word in words) for line in done.stderr.splitlines())


@pytest.mark.long
def test_an_interrupted_sweep_still_says_what_was_done(tmp_path: Path) -> None:
    done = _launch("be_interrupted", "-m", "device=cpu,cuda", folder=tmp_path)
    (sweep,) = (tmp_path / "runs/multirun").iterdir()
    assert done.returncode == 130
    results = json.loads((sweep / "sweep_results.json").read_text())
    assert [result["status"] for result in results] == ["interrupted"]


def test_a_word_that_is_no_flag_is_refused(tmp_path: Path) -> None:
    done = _python("-m", "src.train", "--modle", "panet", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_run_folders_are_named_by_task_model_and_time_and_never_shared(tmp_path: Path) -> None:
    first, second, third = (new_folder(tmp_path / "denoise/panet") for _ in range(3))
    assert len({first, second, third}) == 3
    assert second.name.startswith(first.name[:11])
    assert all(folder.is_dir() for folder in (first, second, third))


def test_looking_for_a_free_name_makes_nothing(tmp_path: Path) -> None:
    new_folder(tmp_path / "denoise/panet", claim=False)
    assert list(tmp_path.iterdir()) == []


def test_resume_goes_on_in_its_own_folder(tmp_path: Path) -> None:
    register_resolvers(claim=False)
    text = "run_dir:${resume},${paths.output_root},denoise,panet"
    cfg = compose_config(f"resume={tmp_path}", f"weights='${{{text}}}'")
    assert cfg.weights == str(tmp_path)


def test_a_run_folder_starts_at_the_repository_root(tmp_path: Path) -> None:
    register_resolvers(claim=False)
    cfg = compose_config("weights='${run_dir:null,outputs,denoise,panet}'")
    assert Path(cfg.weights).parent == ROOT / "outputs/denoise/panet"
