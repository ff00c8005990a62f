"""Runs that are stopped from outside: Ctrl-C, and a kill at any moment."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from src.weights.checkpoint_file import read
from tests.support.compare import LAST, assert_same, rows
from tests.support.runs import TINY, command, process, train_tiny

STEPS = 1000
LONG = (
    *TINY,
    f"trainer.max_steps={STEPS}",
    "trainer.val_check_interval=7",
    "optimizer.lr=1e-4",
)
PATIENCE_S = 120
RARELY = "callbacks.checkpoint_last.every_n_steps=5"


def _stop_at(
    step: int, folder: Path, signum: signal.Signals, *words: str
) -> subprocess.CompletedProcess[str]:
    """Start a long run, send ``signum`` once it has saved ``step`` steps, return how it ended."""
    running = process("train", *LONG, f"hydra.run.dir={folder}", *words)
    end = time.monotonic() + PATIENCE_S
    while not (folder / LAST).is_file() or read(folder / LAST)["global_step"] < step:
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.02)
    running.send_signal(signum)
    out, err = running.communicate(timeout=PATIENCE_S)
    return subprocess.CompletedProcess(running.args, running.returncode, out, err)


def _assert_goes_on_as_if_never_stopped(folder: Path, other: Path, *words: str) -> None:
    end = int(read(folder / LAST)["global_step"]) + 3
    done = command("train", f"resume={folder}", f"trainer.max_steps={end}")
    assert done.code == 0, done.err
    train_tiny(other, *LONG[len(TINY) :], *words, f"trainer.max_steps={end}", steps=end)
    assert_same(folder, other)
    assert rows(folder) == rows(other)


@pytest.mark.slow
@pytest.mark.parametrize("accumulated", [1, 3])
def test_ctrl_c_saves_says_how_to_go_on_and_nothing_is_lost(
    accumulated: int, tmp_path: Path
) -> None:
    words = (
        f"trainer.accumulate_grad_batches={accumulated}",
        f"data.batch_size={4 * accumulated}",
    )
    folder = tmp_path / "run"
    ended = _stop_at(3, folder, signal.SIGINT, *words)
    assert ended.returncode == 130
    assert "Traceback" not in ended.stderr
    assert "Stopping after this step" in ended.stdout + ended.stderr
    assert f"python -m src.train resume={folder}" in ended.stderr
    saved = int(read(folder / LAST)["global_step"])
    assert f"Stopped after step {saved}; everything is saved" in ended.stderr
    _assert_goes_on_as_if_never_stopped(folder, tmp_path / "other", *words)


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ("callbacks.checkpoint_last.every_n_steps=2", "data.workers=2")
    ended = _stop_at(4, folder, signal.SIGKILL, *words)
    assert ended.returncode == -signal.SIGKILL
    _assert_goes_on_as_if_never_stopped(folder, tmp_path / "other", *words)


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.long
@pytest.mark.parametrize("what", ["trainer.val_check_interval=1000", RARELY, f"{RARELY}00"])
def test_a_run_whose_folder_was_moved_leaves_the_new_one_of_that_name_alone(
    what: str, tmp_path: Path
) -> None:
    folder, words = tmp_path / "run", (what,)
    running = process("train", *LONG, *words, f"hydra.run.dir={folder}")
    end = time.monotonic() + PATIENCE_S
    while not (folder / LAST).is_file():
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.02)
    running.send_signal(signal.SIGSTOP)
    folder.rename(tmp_path / "moved")
    train_tiny(folder)
    before = _files(folder)
    running.send_signal(signal.SIGCONT)
    err = running.communicate(timeout=PATIENCE_S)[1]
    assert running.returncode == 1
    assert f"error: The run folder {folder} was moved or removed" in err
    assert "Traceback" not in err
    assert _files(folder) == before
    done = command("train", f"resume={tmp_path / 'moved'}", "trainer.max_steps=9")
    assert done.code == 0, done.err
