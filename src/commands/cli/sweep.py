"""The jobs of a sweep: accepted together, run by Hydra, the result of each written down."""

import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write

from src.app.config.check import Request, bring_up_to_date, composed
from src.app.config.schema import leaves
from src.app.processes.exchange import refuse_sweep
from src.app.processes.place import here
from src.app.sweeps.frozen import open_sweep
from src.app.sweeps.side_by_side import run_beside, signals_shared
from src.app.sweeps.sweep import (
    DONE,
    ELSEWHERE,
    FAILED,
    LeftToAnotherError,
    clean_multirun,
    finished_job,
    hand_on,
    read_result,
    recorded_job,
    runs_cells,
    score_direction,
    score_name,
    started_again,
)
from src.app.sweeps.table import concluded
from src.commands.cli.job import Command, UnexpectedError, drop_if_empty, run_target
from src.core.errors import ConfigError, ExemplarError
from src.core.preemption import Preemption
from src.metrics.direction import check_monitors, monitor_mode


def run_sweep(request: Request, function: Command) -> None:
    """Run the jobs of a sweep, all of which read the configuration files as they are now."""
    refuse_sweep(here())
    with composed(request) as accepted:
        # A comparison whose cells are all finished needs no image; its sweeper asks for others.
        if request.config_name == "train" and not runs_cells(accepted.cfg.hydra):
            for config in accepted.plain:
                refuse_unscored(config)
        sweep = open_sweep(request, accepted.cfg, started_again=started_again())
    frozen = sweep.request
    if sweep.changed:
        print(
            "The sweep goes on with its configuration files as they were when it began; changed "
            "since, and not read:\n  " + "\n  ".join(sweep.changed),
            file=sys.stderr,
        )
        with composed(frozen):
            pass
    words = [*frozen.overrides, f'hydra.sweep.dir="{sweep.folder}"']
    with (
        signals_shared(sweep.launcher),
        concluded(sweep.folder),
        initialize_config_dir(frozen.config_dir, version_base="1.3", job_name=frozen.config_name),
    ):
        engine = GlobalHydra.instance().hydra
        if engine is None:
            raise TypeError("Hydra is initialised above")
        engine.multirun(frozen.config_name, job_of_sweep(function), words)


def job_of_sweep(function: Command) -> Command:
    """Return what Hydra calls for each job of a sweep, perhaps in another process.

    The error of a job is written into its folder, and the others go on.
    """
    starter = os.getpid()

    # A job that does not begin leaves no folder: it would count as lost.
    return lambda cfg: run_beside(lambda: _job_of_sweep(function, cfg), starter, drop_if_empty)


def refuse_unscored(config: Mapping[str, Any]) -> None:
    """Refuse a training of a sweep that would not give the score that ``monitor`` names.

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
            score = run_target(function, cfg)
        except LeftToAnotherError as why:
            result.status, result.message = ELSEWHERE, str(why)
            print(f"job {result.number}: {why}", file=sys.stderr)
            return math.nan
        except (ExemplarError, UnexpectedError) as error:
            result.status, result.message = FAILED, str(error)
            before = read_result(Path(result.folder))
            result.score = None if before is None else before.score
            what = HydraConfig.get().job.override_dirname
            print(f"job {result.number} ({what}) failed: {error}", file=sys.stderr)
            return math.nan
        result.status = DONE
        if isinstance(score, float) and math.isfinite(score):
            result.score = score
    return math.nan if result.score is None else result.score
