"""Targets for tests of groups of processes: each ends in one way, without importing torch."""

import os
import signal
import time
from pathlib import Path

from src.app.processes.job import Job
from src.core.errors import ConfigError, DataError
from src.core.preemption import Preemption

RANK = "RANK"


def note_place(job: Job) -> float:
    """Leave what this process was told of its place; return its rank."""
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT", "OMP_NUM_THREADS")
    text = " ".join(f"{name}={os.environ[name]}" for name in names)
    (Path(job.folder) / f"place_{os.environ[RANK]}").write_text(text)
    return float(os.environ[RANK])


def refuse(job: Job) -> float:
    """Refuse the configuration in every process."""
    raise ConfigError(f"data.batch_size={job.config['batch']} cannot be shared")


def lose_data_in_second(job: Job) -> float:
    """Fail in the second process while the first one waits for it."""
    if os.environ[RANK] == "1":
        raise DataError("the disk is gone")
    return _wait()


def break_in_second(job: Job) -> float:
    """Meet a fault of the program in the second process."""
    if os.environ[RANK] == "1":
        raise ZeroDivisionError("a fault")
    return _wait()


def be_killed_in_second(job: Job) -> float:
    """Vanish without a word in the second process."""
    if os.environ[RANK] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return _wait()


def be_killed_and_missed(job: Job) -> float:
    """Vanish in the second process, which the first one notices as torch would tell it."""
    if os.environ[RANK] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [10.0.0.2]")


def miss_each_other(job: Job) -> float:
    """End as processes do whose network is gone."""
    raise RuntimeError("[unbound_buffer.cc:84] Timed out waiting 5000ms for recv operation")


def save_when_preempted(job: Job) -> float:
    """Wait for a scheduler's signal and end as a training does that it has stopped."""
    received: list[int] = []
    signal.signal(signal.SIGUSR1, lambda signum, frame: received.append(signum))
    (Path(job.folder) / f"waits_{os.environ[RANK]}").touch()
    signal.pause()
    raise Preemption("saved", received[0])


def wait_for_interrupt(job: Job) -> float:
    """Say that this process waits, then wait until it is interrupted."""
    (Path(job.folder) / f"waits_{os.environ[RANK]}").touch()
    return _wait()


def _wait() -> float:
    time.sleep(60)
    return 0.0
