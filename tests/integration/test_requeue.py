"""A job whose machine is wanted back saves, is started again, and ends as if nothing had been."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.core.paths import ROOT
from tests.support.compare import LAST
from tests.support.runs import TINY, command
from tools.requeue import (
    STEPS,
    TEMPLATE,
    assert_as_if_never_stopped,
    outcome_of,
    under_sbatch,
    under_submitit,
)

JOB = "99999999"
WORDS = tuple(word for word in TINY if word != "trainer=cpu")  # the script says which


@pytest.mark.slow
@pytest.mark.ddp
@pytest.mark.parametrize("words", [(), ("trainer=ddp_cpu",)])
def test_a_job_of_submitit_that_runs_out_of_time_goes_on_where_it_was(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    pytest.importorskip("submitit", reason="the extra 'sweep' is not installed")
    out = under_submitit(tmp_path / "sweep", *words, steps=STEPS)
    assert out.starts >= 2
    assert 0 < out.resumed_from[0] < STEPS
    assert out.steps == STEPS
    assert_as_if_never_stopped(tmp_path / "sweep/0", tmp_path / "other", *words, steps=STEPS)


@pytest.fixture
def run() -> Iterator[Path]:
    """Return the folder that the batch script chooses for ``JOB``."""
    folder = ROOT / "outputs/slurm" / JOB
    shutil.rmtree(folder, ignore_errors=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.ddp
def test_the_batch_script_asks_for_another_start_and_goes_on(run: Path, tmp_path: Path) -> None:
    words = (*WORDS, "trainer.max_steps=150", "trainer.val_check_interval=150")
    code, said = under_sbatch(JOB, tmp_path, signal.SIGUSR1, *words)
    assert code == 75, said
    assert (tmp_path / "scontrol.log").read_text() == f"requeue {JOB}\n"
    assert "everything is saved" in said
    code, said = under_sbatch(JOB, tmp_path, 0, *words)
    assert code == 0, said
    out = outcome_of(run, said)
    assert out.starts == 2
    assert out.steps == 150
    assert_as_if_never_stopped(run, tmp_path / "other", "trainer=ddp_cpu", steps=150)


@pytest.mark.slow
@pytest.mark.ddp
def test_a_job_that_is_cancelled_saves_and_does_not_come_back(run: Path, tmp_path: Path) -> None:
    words = (*WORDS, "trainer.max_steps=5000", "trainer.val_check_interval=5000")
    code, said = under_sbatch(JOB, tmp_path, signal.SIGTERM, *words)
    assert code == 143, said
    assert (run / LAST).is_file()
    assert not (tmp_path / "scontrol.log").exists()


def test_the_batch_script_is_a_valid_script() -> None:
    subprocess.run(["/bin/bash", "-n", str(TEMPLATE)], check=True)


@pytest.mark.long
@pytest.mark.parametrize("words", [(), ("optimizer.lr=3e-4",)])
def test_resume_auto_starts_a_run_and_goes_on_with_it(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    same = (*TINY, "trainer.val_check_interval=2", "resume=auto", f"hydra.run.dir={folder}")
    assert command("train", *same, "trainer.max_steps=1").code == 0
    done = command("train", *same, "trainer.max_steps=2", *words)
    assert done.code == 0, done.err
    out = outcome_of(folder, done.err)
    assert (out.resumed_from, out.steps) == ([1], 2)


def test_resume_auto_without_a_folder_of_its_own_is_refused() -> None:
    done = command("train", *TINY, "resume=auto")
    assert done.code == 2
    assert "add hydra.run.dir=outputs/<a name>" in done.err


@pytest.mark.long
def test_resume_auto_does_not_change_what_is_trained(tmp_path: Path) -> None:
    same = (*TINY, "trainer.max_steps=1", "resume=auto", f"hydra.run.dir={tmp_path / 'run'}")
    assert command("train", *same).code == 0
    done = command("train", *same, "seed=3")
    assert done.code == 2
    assert "a resumed run keeps its seed" in done.err


@pytest.mark.long
def test_resume_auto_begins_again_where_nothing_was_saved(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    same = (*TINY, "trainer.max_steps=1", "resume=auto", f"hydra.run.dir={folder}")
    assert command("train", *same).code == 0
    shutil.rmtree(folder / "checkpoints")  # as where it was killed before the first of them
    (folder / "metrics.csv").unlink()
    done = command("train", *same)
    assert done.code == 0, done.err
    assert (outcome_of(folder, "").resumed_from, outcome_of(folder, "").steps) == ([0], 1)
