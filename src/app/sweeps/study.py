"""The study behind a search: a file that several commands may work on and go on with."""

import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import psutil
from optuna.trial import TrialState

from src.core.paths import from_root

_SQLITE = "sqlite:///"
_WORKER = "worker"
"""Attribute of a trial: the machine and process that runs it."""


def storage_url(storage: str | None, study: str | None, *, sweep: Path, output_root: str) -> str:
    """Return where the study is kept: as given, by its name, or in the folder of the sweep."""
    if storage is not None:
        return storage
    file = sweep / "study.db"
    if study is not None:
        file = from_root(output_root) / "studies" / f"{study}.db"
    file.parent.mkdir(parents=True, exist_ok=True)
    return f"{_SQLITE}{file}"


def open_study(url: str, name: str, *, direction: str, seed: int) -> optuna.Study:
    """Open or begin the study; trials of processes of this machine that are gone have failed."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _one_at_a_time(url):
        study = optuna.create_study(
            storage=url,
            study_name=name,
            direction=direction,  # type: ignore[arg-type]
            load_if_exists=True,
        )
    begun = len(study.get_trials(deepcopy=False))
    # A study that goes on must not choose again what it chose first.
    study.sampler = optuna.samplers.TPESampler(seed=seed + begun)
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        host, _, pid = str(trial.user_attrs.get(_WORKER, "")).rpartition(":")
        if host == socket.gethostname() and not psutil.pid_exists(int(pid)):
            study.tell(trial.number, state=TrialState.FAIL)
    return study


@contextmanager
def _one_at_a_time(url: str) -> Iterator[None]:
    """Let one process of a machine make the tables of a new file; Optuna does not see to that."""
    if not url.startswith(_SQLITE):
        yield
        return
    with Path(f"{url.removeprefix(_SQLITE)}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed
        yield


def claim(trial: optuna.Trial) -> None:
    """Note that this process runs ``trial``."""
    trial.set_user_attr(_WORKER, f"{socket.gethostname()}:{os.getpid()}")


def count(study: optuna.Study) -> int:
    """Return how many trials have ended or are running."""
    return len(study.get_trials(deepcopy=False))
