"""Where a fault takes place: a scratch folder, real processes, disks of any size."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from src.core.paths import ROOT
from src.weights.checkpoint_file import read
from tests.support.compare import LAST
from tests.support.images import write_folder
from tests.support.runs import TINY, Finished, command, train_tiny

os.environ.setdefault("EXEMPLAR_TRUST", "tools.breaking")  # callbacks that no file of conf/ offers

PATIENCE_S = 150.0

LONG = ("trainer.max_steps=100000", "trainer.val_check_interval=50")
"""A run that does not end before something happens to it."""

PAIR = "trainer=ddp_cpu"


class Scene:
    """A scratch folder with a run folder ``run`` in it, and what is done there."""

    def __init__(self, here: Path) -> None:
        self.here, self.run = here, here / "run"

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a long training into ``run`` as a user does, as the leader of its own group."""
        return self.python("src.train", *TINY, *LONG, f"hydra.run.dir={self.run}", *words, env=env)

    def resume(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start going on with ``run`` as a user does."""
        return self.python("src.train", f"resume={self.run}", *words, env=env)

    def python(
        self, module: str, *words: str, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start ``python -m module words``."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def until_step(self, process: subprocess.Popen[str], step: int) -> None:
        """Wait until the run has saved ``step``."""
        self.until(process, lambda: self.saved() >= step)

    def until(self, process: subprocess.Popen[str], come: Callable[[], bool]) -> None:
        """Wait for something while the process is running.

        Raises:
            AssertionError: If it ends, or waits too long, with what it said.
        """
        end = time.monotonic() + PATIENCE_S
        while not come():
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                raise AssertionError(process.communicate()[1])
            time.sleep(0.02)

    def saved(self) -> int:
        """Return the step of the last checkpoint; -1 where there is none."""
        path = self.run / LAST
        return int(read(path)["global_step"]) if path.is_file() else -1

    def trained(self, *words: str, steps: int = 4) -> None:
        """Let there be a finished run of ``steps`` steps, with a checkpoint after each."""
        train_tiny(self.run, *words, steps=steps)

    def photos(self, count: int = 3) -> tuple[str, ...]:
        """Make a folder of photographs; return the words to train on them, each decoded anew."""
        folder = write_folder(self.here / "photos", count, height=40, width=48)
        return ("data=folder", f"data.train_dir={folder}", f"data.val_dir={folder}")


@dataclass(frozen=True)
class Fault:
    """One thing that may happen."""

    name: str  # what
    done: str  # how it is brought about
    act: Callable[[Scene], Finished]  # does it; returns how the command ended
    left: Callable[[Scene], str]  # looks at what is left, or fails; returns it in a few words
    code: int = 1  # exit status
    says: tuple[str, ...] = ()  # fragments that the message must hold
    slow: bool = True  # whether it takes more than a few seconds
    root: bool = False  # whether it needs the rights to mount a disk


def ended(process: subprocess.Popen[str]) -> Finished:
    """Wait for a process; return how it ended."""
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired as late:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(f"it hung: {process.communicate()[1]}") from late
    return Finished(process.returncode, out, err)


def goes_on(scene: Scene) -> str:
    """Resume the run for two steps more."""
    step = scene.saved()
    done = command("train", f"resume={scene.run}", f"trainer.max_steps={max(0, step) + 2}")
    assert done.code == 0, done.err
    assert scene.saved() == max(0, step) + 2
    assert not list(scene.run.rglob(".*.tmp*")), "half-written files"
    saved = "no checkpoint yet" if step < 0 else f"step {step} saved"
    return f"{saved}; `resume` goes on"


def nothing_left(scene: Scene) -> str:
    """Find no run folder, or one with nothing but what was said in it."""
    left = [path for path in scene.run.rglob("*") if path.is_file()] if scene.run.exists() else []
    begun = [path for path in left if path.suffix != ".log" and path.name != "job.yaml"]
    assert not begun, begun
    return "nothing was begun"


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Mount something at ``folder`` while the block runs; the rights of root are needed."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", *options, str(folder)], check=True)  # noqa: S607
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody write into ``folder``, root included."""
    with mounted(folder, "--bind", str(folder)):
        remount = ["mount", "-o", "remount,ro,bind", str(folder)]
        subprocess.run(remount, check=True)
        yield


def fill(folder: Path) -> Path:
    """Write a file until the disk is full; return it."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (2**16, 2**10, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return path
