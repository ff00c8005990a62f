"""What an accepted sweep is made of: its folder, what varies in it, and the jobs that it runs."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.app.config.check import Request, as_if_running, choices_of, compose_job, of_sweeper, parse
from src.app.config.explain import fitted_jobs
from src.app.config.options import AUTO, read_primary
from src.app.config.schema import check_names
from src.app.config.typed import folders_of, with_folders
from src.app.config.validate import check_targets
from src.app.sweeps.sweep import runs_cells

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SweepPlan:
    """What an accepted sweep is made of."""

    folder: Path  # in which its jobs get theirs
    search_path: tuple[str, ...]  # folders of options, absolute, beside that of the primary configs
    packages: tuple[str, ...]  # packages of options
    swept: dict[str, list[str]]  # key → its values, in the order in which Hydra varies them
    resumable: bool  # whether its jobs can go on
    resumes: bool  # whether they are asked to
    searches: bool  # whether the values are chosen on the way, so that no job is known before
    compares: bool  # whether each job is known by its configuration: edited files make others
    launcher: str  # dotted name of who starts them


def sweep_plan(request: Request, cfg: DictConfig) -> SweepPlan:
    """Return what a sweep is made of, whose first job is ``cfg``; Hydra must be initialised."""
    with as_if_running(cfg) as job:
        sweeper = str(OmegaConf.select(cfg, "hydra.sweeper._target_"))
        path = folders_of(with_folders([], list(OmegaConf.select(cfg, "hydra.searchpath"))))
        return SweepPlan(
            folder=Path(str(OmegaConf.select(cfg, "hydra.sweep.dir"))).absolute(),
            search_path=tuple(entry for entry in path if "://" not in entry),
            packages=tuple(entry for entry in path if "://" in entry),
            swept=_swept(request, cfg),
            resumable="resume" in job,
            resumes=job.get("resume") == AUTO,
            launcher=str(OmegaConf.select(cfg, "hydra.launcher._target_")),
            searches="Basic" not in sweeper,
            compares=runs_cells(cfg.hydra),
        )


def _swept(request: Request, cfg: DictConfig) -> dict[str, list[str]]:
    parsed = [*of_sweeper(cfg), *parse(request.overrides)]
    latest = {override.get_key_element(): override for override in parsed}
    return {
        key: [text.removeprefix(f"{key}=") for text in choices_of(override)]
        for key, override in latest.items()
        if override.is_sweep_override()
    }


def checked_jobs(config_name: str, jobs: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Return the plain, resolved configuration of each job; Hydra must be initialised.

    Jobs that differ in ``seed=…`` alone are composed once: it takes a third of a second.

    Raises:
        ConfigError: As :func:`composed`.
    """
    primary = read_primary(config_name)
    made: dict[tuple[str, ...], DictConfig] = {}
    configs = []
    for words in jobs:
        seeds = [word for word in words if word.startswith("seed=")]
        others = tuple(word for word in words if word not in seeds)
        if others not in made:
            made[others] = compose_job(config_name, words)
            with as_if_running(made[others]) as job:
                check_targets(check_names(job, primary), primary)
        cfg = made[others].copy()
        if seeds:
            OmegaConf.update(cfg, "seed", parse(seeds[-1:])[0].value())
        with as_if_running(cfg) as job:
            configs.append(check_names(job, primary))
    return configs


def fitted_sweep(config_name: str, jobs: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the jobs that a sweep runs, and say which keys not all of them have.

    Hydra must be initialised, and the words of each job be accepted.
    """
    fitted, without = fitted_jobs(config_name, [parse(job) for job in jobs], checked=True)
    for key, count in without.items():
        said = "%s: %d of %d jobs have no such key; they run without it, the same only once."
        logger.warning(said, key, count, len(jobs))
    return fitted
