"""Stops real commands as the world does: ^C typed into a terminal, a signal to the whole group.

``python -m tools.stopping`` tries every signal with 0, 1, 2 and 4 loader processes, in
training and in validation, and prints how each ended.
"""

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path

from src.core.paths import ROOT
from src.weights.checkpoint_file import read
from tests.support.compare import LAST, assert_same, rows
from tests.support.runs import TINY, Finished, command, train_tiny

PATIENCE_S = 150.0
CTRL_C = b"\x03"
NETWORK = tuple(word for word in TINY if not word.startswith(("data.workers", "data=")))
ENDLESS = (*NETWORK, "data=sample_photos", "trainer.max_steps=100000")
NEVER_VALIDATED = "trainer.val_check_interval=100000"
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGUSR1: 75}


class Terminal:
    """A command that runs in a terminal of its own, the leader of its session and group."""

    def __init__(self, module: str, *words: str, env: dict[str, str] | None = None) -> None:
        self._screen, inside = pty.openpty()
        termios.tcsetwinsize(inside, (40, 200))
        self._said: list[bytes] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.in_terminal", module, *words],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **(env or {})},
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
        )
        os.close(inside)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def said(self) -> str:
        """All that has come to the screen."""
        return b"".join(self._said).decode(errors="replace").replace("\r\n", "\n")

    def until(self, come: Callable[[], bool]) -> None:
        """Wait for something while the command runs.

        Raises:
            AssertionError: If it ends, or waits too long, with what it said.
        """
        end = time.monotonic() + PATIENCE_S
        while not come():
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise AssertionError(self.said)
            time.sleep(0.02)

    def stop(self, signum: int) -> None:
        """Type ^C, which the terminal sends to the group; send any other signal to the group."""
        if signum == signal.SIGINT:
            os.write(self._screen, CTRL_C)
        else:
            os.killpg(self.process.pid, signum)

    def ended(self) -> Finished:
        """Wait for the end of the command, and see that no process of its session lives on."""
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired as late:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"it hung: {self.said}") from late
        end = time.monotonic() + 15
        while left := session(self.process.pid):
            assert time.monotonic() < end, f"processes live on: {left}"
            time.sleep(0.1)
        self._reader.join(5)
        os.close(self._screen)
        return Finished(code, self.said, self.said)

    def _read(self) -> None:
        try:
            while part := os.read(self._screen, 65536):
                self._said.append(part)
        except OSError:  # the last process has closed the terminal
            return


def session(leader: int) -> list[int]:
    """Return the living processes of the session that ``leader`` leads."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, of = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(of) == leader and state != "Z":
                found.append(int(entry.name))
    return found


def saved(folder: Path) -> int:
    """Return the step of the last checkpoint; -1 where there is none."""
    return int(read(folder / LAST)["global_step"]) if (folder / LAST).is_file() else -1


def stop_training(signum: int, folder: Path, *words: str) -> Finished:
    """Train in a terminal, stop it in the middle of its steps, return how it ended."""
    terminal = Terminal("src.train", *ENDLESS, NEVER_VALIDATED, f"hydra.run.dir={folder}", *words)
    terminal.until(lambda: saved(folder) >= 3)
    terminal.stop(signum)
    return terminal.ended()


def stop_validation(signum: int, folder: Path, *words: str) -> Finished:
    """Train in a terminal, stop it while it validates, return how it ended."""
    length = ("trainer.val_check_interval=5", "inference.tile=96")
    terminal = Terminal("src.train", *ENDLESS, *length, f"hydra.run.dir={folder}", *words)
    terminal.until(lambda: "Validation" in terminal.said)
    terminal.stop(signum)
    return terminal.ended()


def assert_all_saved(done: Finished, signum: int, folder: Path) -> int:
    """See the promised status, sentence and checkpoint; return the step that was saved."""
    assert done.code == STATUS[signal.Signals(signum)], done.err
    assert "Traceback" not in done.err, done.err
    assert "loader process is gone" not in done.err, done.err
    said = re.search(r"Stopped after step (\d+); everything is saved", done.err)
    assert said, done.err
    assert f"python -m src.train resume={folder}" in done.err
    assert saved(folder) == int(said[1])
    return saved(folder)


def assert_goes_on(folder: Path, other: Path, *words: str) -> None:
    """Train three steps more; weights and metrics are those of a run that was never stopped."""
    end = saved(folder) + 3
    done = command("train", f"resume={folder}", f"trainer.max_steps={end}")
    assert done.code == 0, done.err
    train_tiny(other, *ENDLESS, f"trainer.max_steps={end}", *words, steps=end)
    assert_same(folder, other)
    assert rows(folder) == rows(other)


def main() -> int:
    """Try all; print a table; return 1 if one did not end as promised."""
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        for where, stop in (("training", stop_training), ("validation", stop_validation)):
            for signum in STATUS:
                for workers in (0, 1, 2, 4):
                    folder = Path(scratch) / f"{where}_{signum.name}_{workers}"
                    done = stop(signum, folder, f"data.workers={workers}")
                    try:
                        ended = f"step {assert_all_saved(done, signum, folder)}, resume line"
                    except AssertionError as error:
                        failed, ended = 1, f"FAILED {error}"
                    line = f"{where:10} {signum.name:8} workers={workers} {done.code:4} {ended}"
                    print(line, flush=True)  # noqa: T201
    return failed


if __name__ == "__main__":
    sys.exit(main())
