"""Loggers that know a whole run: told its config at the start, closed in whatever way it ends."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.loggers import Logger
from torch import nn

from src.core.types import PlainConfig

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
    """Open the run of each logger, and close it after success, an error or a signal.

    Args:
        loggers: Those of the trainer; the ones that are no RunLogger are left alone.
        config: The resolved config, plain.
        facts: A flat summary of it, to filter and group runs by.
    """
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


def sweep_name() -> str | None:
    """Return the name of the sweep's folder where this job is one of a sweep, else None."""
    if not HydraConfig.initialized():
        return None
    settings = HydraConfig.get()
    if settings.mode != RunMode.MULTIRUN:
        return None
    return Path(settings.sweep.dir).name
