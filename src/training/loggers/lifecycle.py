"""Loggers that know a whole run: given its config at the start, closed in whatever way it ends.

The identity under which each logger knows a run is in the run's folder, for when it goes on.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.loggers import Logger
from torch import nn

from src.core.errors import DataError
from src.core.files import write_json
from src.core.types import PlainConfig

RUN_IDS = "run_ids.json"

Facts = dict[str, str | int | float]

_NO_FACTS = ("hydra", "paths", "callbacks", "logger", "local", "debug", "hparams_search")


@runtime_checkable
class RunLogger(Protocol):
    """A logger with a run of its own, beside Lightning's interface."""

    def begin(self, config: PlainConfig, facts: Facts) -> None:
        """Open the run and record its configuration."""
        ...

    def end(self, *, failed: bool) -> None:
        """Close the run, so that the next job of a sweep gets one of its own."""
        ...


@contextmanager
def recorded(loggers: Sequence[Logger], config: PlainConfig, facts: Facts) -> Iterator[None]:
    """Open the run of each RunLogger, and close it after success, an error or a signal."""
    runs = [logger for logger in loggers if isinstance(logger, RunLogger)]
    failed = True
    try:
        for run in runs:
            run.begin(config, facts)
        yield
        failed = False
    finally:
        for run in runs:
            run.end(failed=failed)


def facts(config: PlainConfig, net: nn.Module) -> Facts:
    """Return what one filters runs by, flat: the choice of each group, and a few numbers.

    The choice of ``model/attention`` is called ``attention``; a group without a choice is left out.
    """
    choices = HydraConfig.get().runtime.choices
    chosen: Facts = {
        str(group).rpartition("/")[2]: str(option)
        for group, option in choices.items()
        if str(group).split("/", maxsplit=1)[0] not in _NO_FACTS and option is not None
    }
    numbers = {
        "seed": config["seed"],
        "learning_rate": config["optimizer"].get("lr"),
        "batch_size": config["data"]["batch_size"],
        "patch_size": config["data"]["patch_size"],
        "max_steps": config["trainer"]["max_steps"],
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
    }
    return chosen | {name: number for name, number in numbers.items() if number is not None}


def read_run_id(folder: str | Path, logger: str) -> str | None:
    """Return the identity of the run in ``folder`` for one logger, e.g. ``wandb``; None if none.

    Raises:
        DataError: If the file is damaged.
    """
    return _run_ids(Path(folder)).get(logger)


def keep_run_id(folder: str | Path, logger: str, run_id: str) -> None:
    """Write down the identity of the run in ``folder`` for one logger."""
    run_ids = _run_ids(Path(folder))
    if run_ids.get(logger) != run_id:
        write_json(Path(folder) / RUN_IDS, {**run_ids, logger: run_id})


def _run_ids(folder: Path) -> dict[str, str]:
    file = folder / RUN_IDS
    if not file.is_file():
        return {}
    try:
        run_ids = dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise DataError(f"{file} is damaged; remove it, and loggers begin a new run.") from error
    return {str(name): str(run_id) for name, run_id in run_ids.items()}


def sweep_name() -> str | None:
    """Return the name of the sweep's folder where this job is one of a sweep, else None."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return Path(HydraConfig.get().sweep.dir).name
