"""Decide all that a training depends on, once, before any of its processes starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from src.app import run_folder
from src.app.build import build_data, plain, undegraded_pairs, with_sets
from src.app.config.options import AUTO
from src.app.config.resume import followers, given_now, is_resume, refuse_changes
from src.app.config.schema import leaves
from src.app.config.search_path import is_search_path, remember_addresses
from src.app.processes.job import Job, settled_by_hydra
from src.app.processes.place import here
from src.app.processes.size import settle_size
from src.app.resume_point import NEW, ResumePoint, find_point
from src.app.sweeps.sweep import is_start_again
from src.commands.train.beginning import with_weights
from src.commands.train.schedule import refuse_unsaid_change
from src.core.errors import ConfigError
from src.data.datamodule import RestorationData
from src.metrics.direction import check_monitors, monitor_mode


def settle_training(cfg: DictConfig) -> Job:
    """Return the job of a training: config resolved, run folder and number of processes decided.

    Args:
        cfg: As Hydra has composed it.

    Returns:
        The job; its notes hold ``overrides`` as typed, whether it ``resumes``, from which
        ``checkpoint``, whether changes of images and code are ``accepted``, and ``given``: the
        overrides of a resumed run that are new, with those that follow from them.

    Raises:
        ConfigError: If the number of processes cannot be.
        CheckpointError: If a run to be resumed has no checkpoint that can be used.
        DataError: If a new run is to begin in the folder of another.
    """
    folder = Path(cfg.paths.output_dir)
    typed = HydraConfig.get().overrides
    overrides = [text for text in typed.task if not is_resume(text)]
    accepted, resumes = bool(cfg.accept_changes), _goes_on(cfg, folder)
    point: ResumePoint = NEW
    given: list[str] = []
    if resumes:
        point = find_point(folder)
        cfg, given = _continued(cfg, folder, overrides, point)
    else:
        cfg = undegraded_pairs(with_weights(cfg, overrides))
        if cfg.get("sets") is not None:  # not in files of earlier versions
            cfg = with_sets(cfg)
    processes = settle_size(cfg.trainer, here())
    OmegaConf.resolve(cfg)
    config = plain(cfg)
    if not resumes:  # all of it was typed
        remember_addresses(leaves(config))
    run_folder.check_addresses(config, known=not resumes)
    data = shared_data(cfg)
    ours = isinstance(data, RestorationData)
    if ours:
        data.check_sources()
    # else hours would pass before the best is asked for
    check_monitors(config, data.benchmark_names if ours else None)
    monitor_mode(config)
    if resumes:
        point.clear_the_way(folder)
    return Job(
        config=config,
        folder=str(folder),
        processes=processes,
        hydra=settled_by_hydra(),
        notes={
            # the run's next start needs the search path of this one too
            "overrides": [*filter(is_search_path, typed.hydra), *overrides],
            "given": given,
            "resumes": resumes,
            "accepted": accepted,
            "checkpoint": None if point.path is None else str(point.path),
        },
    )


def shared_data(cfg: DictConfig) -> RestorationData:
    """Build the data of a training; nothing is read yet.

    Raises:
        ConfigError: If processes and accumulation do not divide a batch.
    """
    data = build_data(cfg)
    world = cfg.trainer.devices * cfg.trainer.num_nodes
    data.stages.check_shares(world=world, accumulated=cfg.trainer.accumulate_grad_batches)
    return data


def _continued(
    cfg: DictConfig, folder: Path, overrides: list[str], point: ResumePoint
) -> tuple[DictConfig, list[str]]:
    """Return the config with which a run goes on, and the overrides that are new or follow.

    Refused are a schedule that changes unsaid, and another discriminator than the saved one.
    """
    given = given_now(folder, overrides)
    refuse_changes(folder, given)
    if point.config is not None:
        run_folder.mend_config(folder, point.config)
    followed = followers(cfg, given)
    old = run_folder.continued(folder, cfg, [])
    new = run_folder.continued(folder, cfg, [*given, *followed])
    refuse_unsaid_change(old, new, given, followed, point.step)
    was, now = (_discriminator(plain(of)["loss"]) for of in (old, new))
    if was != now:
        raise ConfigError(
            f"loss: a resumed run keeps its discriminator, {was or 'none'}, not {now or 'none'}; "
            "start a new run, with weights=<this one> to begin from its weights."
        )
    return new, [*given, *followed]


def _discriminator(loss: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the shapes of a discriminator's weights; {} without one."""
    terms, given = loss.get("terms"), loss.get("adversarial")
    if not (isinstance(terms, Mapping) and terms.get("adversarial") and given):
        return {}
    return {key: given.get(key) for key in ("discriminator", "channels", "in_channels")}


def _goes_on(cfg: DictConfig, folder: Path) -> bool:
    """Say whether the job goes on with the run in ``folder``; else refuse that of another run."""
    resume = cfg.resume
    if resume not in {None, AUTO}:
        return True
    if not (folder / run_folder.CONFIG).exists():
        return False
    if is_start_again(resume, folder):
        return True
    run_folder.refuse_used(folder)
    return False
