"""One job as Hydra runs it: the target in its folder, its errors sorted."""

import shutil
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import configure_log, run_job
from hydra.errors import InstantiationException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, read_write

from src.app.processes.job import PLACE
from src.app.processes.outcome import ProcessFaultError
from src.app.processes.user_errors import as_user_error, keep_traceback, whose_code
from src.core.errors import ExemplarError
from src.core.paths import from_root
from src.core.redact import without_passwords


class UnexpectedError(Exception):
    """A fault of the program; its traceback has been printed and written to a file."""


Command = Callable[[DictConfig], Any]


def run_alone(cfg: DictConfig, function: Command) -> None:
    """Run ``function`` as Hydra runs a single job: in its folder, with its log.

    Raises:
        ExemplarError, UnexpectedError: What stopped it. The folder goes where nothing was written.
    """
    failed: list[Exception] = []
    folder = Path(str(cfg.hydra.run.dir)).absolute()
    made = [path for path in folder.parents if not path.exists()]  # by this start, from now on

    def job(cfg: DictConfig) -> None:
        try:
            run_target(function, cfg)
        except (ExemplarError, UnexpectedError) as error:
            failed.append(error)  # past Hydra, which would print the command line first
            drop_if_empty()
            for path in made:
                with suppress(OSError):  # it has something in it
                    path.rmdir()

    with read_write(cfg.hydra):
        cfg.hydra.mode = RunMode.RUN
    configure_log(cfg.hydra.hydra_logging, cfg.hydra.verbose)
    context = HydraContext(GlobalHydra.instance().config_loader(), Callbacks(cfg))
    _ = run_job(job, cfg, "hydra.run.dir", None, context).return_value  # raises what is not ours
    if failed:
        raise failed[0]


def run_target(function: Command, cfg: DictConfig) -> Any:  # noqa: ANN401
    """Call ``function``; let only errors out that a user can read."""
    try:
        return function(cfg)
    except Exception as error:
        known = as_user_error(error)
        if known is not None:
            raise known from error
        print(without_passwords(traceback.format_exc()), end="", file=sys.stderr)
        whose = whose_code(error, OmegaConf.to_container(cfg, resolve=False))
        if isinstance(error, ProcessFaultError):
            whose = error.whose
        raise UnexpectedError(_write_crash(cfg, error, whose)) from error


def drop_if_empty() -> None:
    """Remove a run folder with this start's log alone: a refused run, which has said why.

    What its processes noted goes too, unless one has said something of its own.
    """
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    if settings.run.dir == ".":  # the current folder, of a command without a run folder of its own
        return
    log, notes = folder / f"{settings.job.name}.log", folder / PLACE
    files = [path for path in folder.rglob("*") if path.is_file()]
    said = [path for path in files if path.suffix == ".log" and path.stat().st_size]
    if files and all(path in (log, *notes.glob("*")) for path in files) and {*said} <= {log}:
        shutil.rmtree(folder, ignore_errors=True)  # of a disk that cannot be written it stays


def _in_a_line(error: BaseException) -> str:
    """Return what was raised; of an error in the building of a part, or in a process, its cause."""
    if isinstance(error, ProcessFaultError):
        return str(error).splitlines()[-1]
    cause = error.__cause__ if isinstance(error, InstantiationException) else None
    return f"{type(cause or error).__name__}: {cause or error}"


def _write_crash(cfg: DictConfig, error: Exception, whose: str | None) -> str:
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    if settings.run.dir == ".":  # a command without a run folder of its own
        folder = from_root(str(cfg.paths.output_root))
    where = keep_traceback(folder)
    if whose is None:
        return f"That was unexpected: a fault of the program. {where}"
    return (
        f"{without_passwords(_in_a_line(error))}\n  It was raised in {whose}, which is no code of "
        f"this program. {where}"
    )
