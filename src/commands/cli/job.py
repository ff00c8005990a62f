"""What Hydra calls for each job: the target, its errors sorted, its result written down."""

import math
import os
import sys
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from src.app.config.resume import leaves
from src.app.processes.user_errors import as_user_error
from src.app.sweeps.requeue import hand_on
from src.app.sweeps.side_by_side import run_beside
from src.app.sweeps.sweep import DONE, FAILED, finished_job, recorded_job, score_before
from src.core.dotted import locate
from src.core.errors import ExemplarError
from src.core.paths import from_root
from src.core.preemption import Preemption


class UnexpectedError(Exception):
    """A fault of the program; its traceback has been printed and written to a file."""


def task_of(target: str, failed: list[Exception]) -> Callable[[DictConfig], Any]:
    """Return the function that Hydra calls with a composed configuration.

    Args:
        target: Dotted name of ``f(cfg)``, imported only now that the command line is accepted.
        failed: Takes the error of a single job, past Hydra, which would print the command line
            first. A job of a sweep writes its error into its folder instead: it may run in another
            process, and the others go on.
    """
    starter = os.getpid()

    def job(cfg: DictConfig) -> Any:  # noqa: ANN401
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            return run_beside(lambda: _job_of_sweep(target, cfg), starter)
        try:
            return _run(target, cfg)
        except (ExemplarError, UnexpectedError) as error:
            failed.append(error)
            _drop_if_empty(Path(HydraConfig.get().runtime.output_dir))
            return None

    return job


def _job_of_sweep(target: str, cfg: DictConfig) -> float:
    """Run one job of several; a failing one is written down, said, and worth NaN."""
    try:
        return _recorded(target, cfg)
    except Preemption as stop:  # written down, so that its next start goes on
        hand_on(stop.signum)
        raise


def _recorded(target: str, cfg: DictConfig) -> float:
    done = finished_job() if "resume" in cfg else None  # what cannot go on is done again
    if done is not None:
        print(f"job {done.number} is done already: score {done.score}", file=sys.stderr)  # noqa: T201
        return math.nan if done.score is None else done.score
    with recorded_job(dict(leaves(OmegaConf.to_container(cfg, resolve=False)))) as result:
        try:
            score = _run(target, cfg)
        except (ExemplarError, UnexpectedError) as error:
            result.status, result.message = FAILED, str(error)
            result.score = score_before(Path(result.folder))  # of what the run was before
            what = HydraConfig.get().job.override_dirname
            print(f"job {result.number} ({what}) failed: {error}", file=sys.stderr)  # noqa: T201
            return math.nan
        result.status = DONE
        if isinstance(score, float) and math.isfinite(score):
            result.score = score
    return math.nan if result.score is None else result.score


def _run(target: str, cfg: DictConfig) -> Any:  # noqa: ANN401
    """Call the target; let only errors out that a user can read."""
    try:
        return locate(target)(cfg)
    except Exception as error:
        known = as_user_error(error)
        if known is not None:
            raise known from error
        traceback.print_exc()
        raise UnexpectedError(_write_crash(cfg)) from error


def _drop_if_empty(folder: Path) -> None:
    """Remove a run folder in which nothing was written; a refused run leaves nothing behind."""
    held = list(folder.iterdir()) if folder.is_dir() else []
    if held and all(file.suffix == ".log" and file.stat().st_size == 0 for file in held):
        for file in held:
            file.unlink()
        folder.rmdir()


def _write_crash(cfg: DictConfig) -> str:
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    if settings.run.dir == ".":  # a command without a run folder of its own
        folder = from_root(str(cfg.paths.output_root))
    file = folder / "crash.log"
    stamp = datetime.now().astimezone().isoformat(timespec="seconds")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as log:
            log.write(f"{stamp}  {' '.join(sys.argv)}\n{traceback.format_exc()}\n")
    except OSError as error:
        return f"That was unexpected: a fault of the program. ({file} cannot be written: {error})"
    return f"That was unexpected: a fault of the program. The traceback is also in {file}"
