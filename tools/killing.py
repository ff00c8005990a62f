"""Starts a training as a user does, and kills it or one of its processes."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from src.core.paths import ROOT

PATIENCE_S = 120.0
"""Seconds after which what was waited for does not come any more."""


def launch(
    *words: str, module: str = "src.train", errors: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    """Start a command as the leader of a process group, its output thrown away but for errors."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        start_new_session=True,
    )


def shoot(process: subprocess.Popen[bytes], victim: str) -> list[int]:
    """Kill, wait until all are gone; return the processes that are not."""
    ranks = ranks_of(process.pid)
    with suppress(ProcessLookupError):  # it has ended by itself, which the caller has seen
        _shoot(process, ranks, victim)
    process.communicate(timeout=PATIENCE_S)
    end = time.monotonic() + 15
    while (alive := [rank for rank in ranks if _alive(rank)]) and time.monotonic() < end:
        time.sleep(0.05)
    return alive


def _shoot(process: subprocess.Popen[bytes], ranks: list[int], victim: str) -> None:
    if victim.startswith("rank") and len(ranks) > 1:
        os.kill(ranks[int(victim[-1])], signal.SIGKILL)
    else:
        os.killpg(process.pid, signal.SIGKILL)
        for rank in ranks if victim == "all" else ():
            os.kill(rank, signal.SIGKILL)


def ranks_of(pid: int) -> list[int]:
    """Return the ranks: the children that run one, in their order."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in found if b"processes.rank" in _command(child)]


def _command(pid: str | int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _alive(pid: int) -> bool:
    return b"processes.rank" in _command(pid)  # a zombie has no command line
