"""What Hydra calls for each job: the target, its errors sorted, its result written down."""

import math
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Mapping
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

from src.app.config.check import bring_up_to_date
from src.app.config.schema import leaves
from src.app.processes.job import PLACE
from src.app.processes.outcome import ProcessFaultError
from src.app.processes.user_errors import as_user_error, keep_traceback, whose_code
from src.app.sweeps.side_by_side import run_beside
from src.app.sweeps.sweep import (
    DONE,
    FAILED,
    clean_multirun,
    finished_job,
    hand_on,
    recorded_job,
    score_before,
    score_direction,
    score_name,
)
from src.core.errors import ConfigError, ExemplarError
from src.core.paths import from_root
from src.core.preemption import Preemption
from src.core.redact import without_passwords
from src.metrics.direction import check_monitors, monitor_mode


class UnexpectedError(Exception):
    """A fault of the program; its traceback has been printed and written to a file."""


Command = Callable[[DictConfig], Any]


def run_alone(cfg: DictConfig, function: Command) -> None:
    """Run ``function`` as Hydra runs a single job: in its folder, with its log.

    Args:
        cfg: Composed, with Hydra's own node.
        function: Called with the rest.

    Raises:
        ExemplarError, UnexpectedError: What stopped it. The folder goes where nothing was written.
    """
    failed: list[Exception] = []
    folder = Path(str(cfg.hydra.run.dir)).absolute()
    made = [path for path in folder.parents if not path.exists()]  # by this start, from now on

    def job(cfg: DictConfig) -> None:
        try:
            _run(function, cfg)
        except (ExemplarError, UnexpectedError) as error:
            failed.append(error)  # past Hydra, which would print the command line first
            _drop_if_empty()
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


def job_of_sweep(function: Command) -> Command:
    """Return what Hydra calls for each job of a sweep, perhaps in another process.

    The error of a job is written into its folder, and the others go on.
    """
    starter = os.getpid()

    # A job that does not begin leaves no folder: it would count as lost.
    return lambda cfg: run_beside(lambda: _job_of_sweep(function, cfg), starter, _drop_if_empty)


def refuse_unscored(config: Mapping[str, Any]) -> None:
    """Refuse a training of a sweep that would not give the score that ``monitor`` names.

    Args:
        config: Of ``src.train``, plain and resolved.

    Raises:
        ConfigError: Saying what is missing.
    """
    # only now: torch takes a second
    from src.app.build import build_data, with_sets
    from src.data.datamodule import RestorationData

    if config["trainer"].get("limit_val_batches") == 0:
        raise ConfigError(
            "trainer.limit_val_batches=0: nothing would be validated, so that no job of this sweep "
            "would have a score. Leave it out."
        )
    cfg = DictConfig(dict(config))
    data = build_data(cfg if cfg.get("sets") is None else with_sets(cfg))
    # Data of one's own alone know what they score.
    benchmarks = data.benchmark_names if isinstance(data, RestorationData) else None
    if benchmarks is not None and not benchmarks:
        raise ConfigError(
            "There is no image to score, so that no job of this sweep would have a score. Set "
            "data.val_dir=<folder>, or choose data that has benchmarks."
        )
    check_monitors(config, benchmarks)
    monitor_mode(config)


def _job_of_sweep(function: Command, cfg: DictConfig) -> float:
    """Run one job of several; of a failing one the error is written down and NaN is returned."""
    bring_up_to_date(cfg)
    clean_multirun()
    settings: Any = HydraConfig.get()
    with read_write(settings):
        settings.mode = RunMode.MULTIRUN  # which Hydra leaves empty in the jobs themselves
    try:
        return _recorded(function, cfg)
    except Preemption as stop:  # written down, so that its next start goes on
        hand_on(stop.signum)
        raise


def _recorded(function: Command, cfg: DictConfig) -> float:
    done = finished_job() if "resume" in cfg else None  # what cannot go on is done again
    if done is not None:
        print(f"job {done.number} is done already: score {done.score}", file=sys.stderr)
        return math.nan if done.score is None else done.score
    config = dict(leaves(OmegaConf.to_container(cfg, resolve=False)))
    with recorded_job(config) as result:
        try:
            command = HydraConfig.get().job.config_name
            result.higher_is_better = score_direction(command, config)
            result.metric = score_name(command, config)
            score = _run(function, cfg)
        except (ExemplarError, UnexpectedError) as error:
            result.status, result.message = FAILED, str(error)
            result.score = score_before(Path(result.folder))  # of what the run was before
            what = HydraConfig.get().job.override_dirname
            print(f"job {result.number} ({what}) failed: {error}", file=sys.stderr)
            return math.nan
        result.status = DONE
        if isinstance(score, float) and math.isfinite(score):
            result.score = score
    return math.nan if result.score is None else result.score


def _run(function: Command, cfg: DictConfig) -> Any:  # noqa: ANN401
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


def _drop_if_empty() -> None:
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
