"""What a search chooses from, and its study: a file that several commands may work on."""

import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import psutil
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from src.core.errors import ConfigError
from src.core.paths import from_root
from src.core.redact import without_passwords

_SQLITE = "sqlite:///"
_WORKER = "worker"
"""Attribute of a trial: the machine and process that runs it."""
_FAILED = "failed_by_itself"
"""Attribute of a trial without a score: False where it was killed or stopped."""


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
    """Open or begin the study; trials of processes of this machine that are gone have failed.

    Raises:
        ConfigError: If its storage cannot be opened.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with _one_at_a_time(url):
            study = optuna.create_study(
                storage=url,
                study_name=name,
                direction=direction,  # type: ignore[arg-type]
                load_if_exists=True,
            )
    except (ImportError, OSError, SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ConfigError(
            f"hydra.sweeper.storage={without_passwords(url)} cannot be opened ({reason}). Give the "
            "URL of a database, install its driver, or leave it out for a file in the sweep."
        ) from error
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
    if not url.startswith(_SQLITE) or "?" in url:
        yield
        return
    with Path(f"{url.removeprefix(_SQLITE)}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed
        yield


def claim(trial: optuna.Trial) -> None:
    """Note that this process runs ``trial``."""
    trial.set_user_attr(_WORKER, f"{socket.gethostname()}:{os.getpid()}")


def fail(study: optuna.Study, trial: optuna.Trial, *, by_itself: bool) -> None:
    """Tell the study that ``trial`` gave no score, and whether its own doing was the reason."""
    trial.set_user_attr(_FAILED, by_itself)
    study.tell(trial, state=TrialState.FAIL)


def count(study: optuna.Study) -> int:
    """Return how many trials run, or have ended by themselves; a killed one is made up for."""
    trials = study.get_trials(deepcopy=False)
    return sum(t.state != TrialState.FAIL or t.user_attrs.get(_FAILED, False) for t in trials)


def split_overrides(parsed: list[Override]) -> tuple[list[str], dict[str, BaseDistribution]]:
    """Return the overrides that are the same in all trials, and key → distribution.

    A later override of the same key wins.

    Raises:
        ConfigError: If a range is none, or nothing is left to choose.
    """
    latest = {override.get_key_element(): override for override in parsed}
    fixed = [str(o.input_line) for o in latest.values() if not o.is_sweep_override()]
    space = {key: _distribution(o) for key, o in latest.items() if o.is_sweep_override()}
    if not space:
        raise ConfigError(
            "hydra/sweeper=optuna has nothing to choose: give a key several values, e.g. "
            "'optimizer.lr=tag(log,interval(1e-5,1e-3))' or model/attention=none,pyramid."
        )
    return fixed, space


def _distribution(override: Override) -> BaseDistribution:
    value = override.value()
    try:
        if isinstance(value, IntervalSweep):
            return _interval(value)
        if isinstance(value, RangeSweep):
            return _range(value)
    except ValueError as error:  # Optuna's own check of the bounds
        raise ConfigError(f"{override.input_line}: {error}") from error
    return CategoricalDistribution(list(override.sweep_string_iterator()))


def _interval(sweep: IntervalSweep) -> BaseDistribution:
    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    if low is None or high is None:
        raise ValueError("an interval needs two bounds")
    if "int" in sweep.tags:
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _range(sweep: RangeSweep) -> BaseDistribution:
    values = list(sweep.range())
    if not values:
        raise ValueError("the range is empty")
    if all(isinstance(value, int) for value in values):
        return IntDistribution(int(values[0]), int(values[-1]), step=int(sweep.step))
    return FloatDistribution(float(values[0]), float(values[-1]), step=float(sweep.step))
