"""Commands that the world stops: ^C in a terminal, signals to the group, output that goes away."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from src.app.sweeps.sweep import INTERRUPTED, PREEMPTED, read_results
from src.core.paths import ROOT
from tests.support.runs import TINY, Finished, process, train_tiny
from tools.stopping import (
    ENDLESS,
    NETWORK,
    NEVER_VALIDATED,
    Terminal,
    assert_all_saved,
    assert_goes_on,
    saved,
    session,
    stop_training,
    stop_validation,
)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
SHORT = (
    *NETWORK,
    "data=sample_photos",
    "data.workers=2",
    "trainer.max_steps=4",
    "trainer.val_check_interval=4",
    "inference.tile=64",  # whole photographs by exact attention would be most of the test
)
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@pytest.mark.long
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_group_loses_nothing(signum: signal.Signals, tmp_path: Path) -> None:
    done = stop_training(signum, tmp_path / "run", "data.workers=2")
    assert_all_saved(done, signum, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("stop", [stop_training, stop_validation])
@pytest.mark.parametrize("signum", SIGNALS)
@pytest.mark.parametrize("workers", [0, 2])
def test_no_signal_to_the_group_loses_a_step_or_leaves_a_row(
    workers: int, signum: signal.Signals, stop: Callable[..., Finished], tmp_path: Path
) -> None:
    # Tiles, because auto goes by the memory that is free just then, and scores with it.
    words = (f"data.workers={workers}", "trainer.log_every_n_steps=2", "inference.tile=96")
    done = stop(signum, tmp_path / "run", *words)
    assert_all_saved(done, signum, tmp_path / "run")
    every = NEVER_VALIDATED if stop is stop_training else "trainer.val_check_interval=5"
    assert_goes_on(tmp_path / "run", tmp_path / "other", *words, every)


@pytest.mark.slow
@pytest.mark.ddp
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_two_processes_save_at_a_signal_to_the_group(
    signum: signal.Signals, tmp_path: Path
) -> None:
    done = stop_training(signum, tmp_path / "run", "data.workers=2", "trainer=ddp_cpu")
    assert_all_saved(done, signum, tmp_path / "run")


@pytest.mark.long
@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGUSR1, 75), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_before_training_is_answered_and_nothing_is_left(
    signum: signal.Signals, code: int, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    terminal = Terminal("src.train", *ENDLESS, f"hydra.run.dir={folder}")
    terminal.until((folder / ".lock").is_file)
    terminal.stop(signum)
    done = terminal.ended()
    assert done.code == code
    assert f"Stopped by {signum.name} before the work was done" in done.err
    assert "Traceback" not in done.err
    assert not (folder / ".lock").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("processes", [1, 2])
def test_an_evaluation_that_is_stopped_says_so_and_begins_anew(
    processes: int, signum: signal.Signals, code: int, tmp_path: Path
) -> None:
    train_tiny(tmp_path / "run")
    words = (
        f"checkpoint={tmp_path / 'run'}",
        "data=sample_photos",
        f"output={tmp_path / 'scores'}",
        f"processes={processes}",
        "device=cpu",
    )
    terminal = Terminal("src.evaluate", *words, "inference.tile=48", "inference.overlap=40")
    terminal.until(lambda: "images" in terminal.said or "Scoring" in terminal.said)
    terminal.stop(signum)
    done = terminal.ended()
    assert done.code == code, done.err
    assert ("Interrupted." if signum == signal.SIGINT else "Stopped by SIGTERM") in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "scores/results.json").exists()
    again = process("evaluate", *words, "inference.tile=96")
    said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert (tmp_path / "scores/results.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_jobs_of_a_sweep_save_at_a_signal_to_the_group(
    signum: signal.Signals, code: int, launcher: str, tmp_path: Path
) -> None:
    sweep, running = _sweep(launcher, tmp_path)
    running.stop(signum)
    done = running.ended()
    assert done.code == code, done.err
    assert "Traceback" not in done.err, done.err
    ended = read_results(sweep)
    assert len(ended) == (2 if launcher == "joblib" else 1), "another job was begun"
    status = INTERRUPTED if signum == signal.SIGINT else PREEMPTED
    for result in ended:
        assert result.status == status
        log = (Path(result.folder) / "train.log").read_text()
        assert "after this step" in log
        assert saved(Path(result.folder)) >= 2


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_last_validation_of_a_cell_begins_no_other(
    signum: signal.Signals, code: int, tmp_path: Path
) -> None:
    factors = "{seed: {0: seed=0, 1: seed=1}, block: {a: model.blocks=2, b: model.blocks=4}}"
    text = f"title: Stopped\nfixed: {json.dumps([*SHORT, 'task=denoise'])}\nfactors: {factors}\n"
    (tmp_path / "comparison.yaml").write_text(text + "reference: {block: a}\n")
    running = Terminal("src.compare", str(tmp_path), "trainer.accelerator=cpu")
    running.until(lambda: "Validation" in running.said)
    running.stop(signum)
    done = running.ended()
    assert done.code == code, done.err
    assert "Traceback" not in done.err, done.err
    assert len([*tmp_path.glob("cells/*/train.log")]) == 1, "another cell was begun"
    assert "src.train resume=" not in done.err  # the comparison's own command goes on with it


@pytest.mark.slow
def test_jobs_of_joblib_end_when_the_sweep_is_killed(tmp_path: Path) -> None:
    _, running = _sweep("joblib", tmp_path)
    running.process.kill()
    running.ended()  # which sees that no process lives on


@pytest.mark.slow
@pytest.mark.timeout(900)  # three interpreters start side by side, on a machine that may be busy
def test_joblib_runs_jobs_with_the_workers_that_are_the_default(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    words = [word for word in SHORT if not word.startswith("data.workers")]
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    place = f"hydra.sweep.dir={tmp_path}"
    done = process("train", "-m", *words, *launcher, "seed=0,1", place)
    said = done.communicate(timeout=800)
    assert done.returncode == 0, said
    assert [result.status for result in read_results(tmp_path)] == ["done", "done"]


@pytest.mark.slow
@pytest.mark.ddp
def test_processes_of_torchrun_end_when_it_is_killed(tmp_path: Path) -> None:
    words = ("--standalone", "--nproc-per-node=2", "-m", "src.train")
    folder = tmp_path / "run"
    settings = (*ENDLESS, NEVER_VALIDATED, "trainer=ddp_cpu", f"hydra.run.dir={folder}")
    running = Terminal("torch.distributed.run", *words, *settings)
    running.until(lambda: saved(folder) >= 2)
    started = set(session(running.process.pid)) | set(_descendants(running.process.pid))
    running.process.kill()
    running.process.wait()
    end = time.monotonic() + 20
    while any(Path(f"/proc/{pid}/exe").exists() for pid in started):
        assert time.monotonic() < end, "a process lived on"
        time.sleep(0.1)


@pytest.mark.long
@pytest.mark.parametrize("output", ["reader gone", "disk full", "closed"])
def test_training_goes_on_when_its_output_cannot_be_written(output: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shell = {
        "reader gone": '{ "$@" 2>&1; echo $? >&3; } 3>status | true',
        "disk full": '"$@" >/dev/full 2>&1; echo $? >status',
        "closed": '"$@" <&- >&- 2>&-; echo $? >status',
    }
    train = [sys.executable, "-m", "src.train", *TINY, "data.workers=0"]
    length = ("trainer.max_steps=4", "trainer.val_check_interval=4", f"hydra.run.dir={folder}")
    subprocess.run(
        ["bash", "-c", shell[output], "bash", *train, *length],  # noqa: S607
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        timeout=300,
        check=True,
    )
    assert (tmp_path / "status").read_text() == "0\n"
    assert saved(folder) == 4


@pytest.mark.long
def test_what_a_command_was_to_print_is_not_lost_without_a_word(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        asked = [sys.executable, "-m", "src.train", "--cfg", "job"]
        done = subprocess.run(asked, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "could not be written: No space left on device" in done.stderr


@pytest.mark.long
def test_a_long_tmpdir_does_not_stop_the_loader(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    words = (*SHORT, f"hydra.run.dir={tmp_path / 'run'}")
    terminal = Terminal("src.train", *words, env={"TMPDIR": str(long)})
    assert terminal.ended().code == 0, terminal.said
    assert saved(tmp_path / "run") == 4


def _sweep(launcher: str, folder: Path) -> tuple[Path, Terminal]:
    """Start a sweep of three jobs; return its folder and itself when its first jobs train."""
    pytest.importorskip(launcher if launcher == "joblib" else "hydra")
    beside = (f"hydra/launcher={launcher}", *(["hydra.launcher.n_jobs=2"] * (launcher != "basic")))
    sweep = folder / "sweep"
    words = (*ENDLESS, NEVER_VALIDATED, "data.workers=2", f"hydra.sweep.dir={sweep}")
    terminal = Terminal("src.train", "-m", *words, "seed=0,1,2", *beside)
    jobs = range(2 if launcher == "joblib" else 1)
    terminal.until(lambda: all(saved(sweep / str(job)) >= 2 for job in jobs))
    return sweep, terminal


def _descendants(pid: int) -> list[int]:
    children = re.findall(r"\d+", Path(f"/proc/{pid}/task/{pid}/children").read_text())
    return [int(child) for child in children] + [
        below for child in children for below in _descendants(int(child))
    ]
