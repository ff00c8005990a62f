"""Decide all that a training depends on, once, before any of its processes starts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from torch.optim.lr_scheduler import LambdaLR

from src.app import run_folder
from src.app.build import build_data, make, plain, undegraded_pairs, with_sets
from src.app.config.options import AUTO, key_of
from src.app.config.resume import OF_A_START, followers, given_now, refuse_changes
from src.app.config.typed import check_addresses, is_search_path
from src.app.processes.job import Job
from src.app.processes.place import here, settle_size
from src.app.resume_point import NEW, ResumePoint, find_point
from src.app.sweeps.sweep import is_start_again, runs_cells
from src.commands.train.beginning import WITHOUT_WEIGHTS, with_weights
from src.core.errors import ConfigError
from src.core.types import PlainConfig
from src.data.datamodule import RestorationData
from src.metrics.direction import check_monitors, monitor_mode


def settle_training(cfg: DictConfig) -> Job:
    """Return the job of a training: config resolved, run folder and number of processes decided.

    Returns:
        The job; its notes hold ``overrides`` as typed, whether it ``resumes``, from which
        ``checkpoint``, whether it ``is_cell`` of a comparison, whether changes of images and code
        are ``accepted``, and ``given``: the overrides of a resumed run that are new, with those
        that follow from them.

    Raises:
        ConfigError: If the number of processes cannot be.
        CheckpointError: If a run to be resumed has no checkpoint that can be used.
        DataError: If a new run is to begin in the folder of another.
    """
    folder = Path(cfg.paths.output_dir)
    typed = HydraConfig.get().overrides
    overrides = [text for text in typed.task if key_of(text) not in OF_A_START]
    accepted = bool(cfg.accept_changes)  # of this start, which the run's own configuration is not
    begun = (folder / run_folder.CONFIG).exists()
    resumes = cfg.resume not in {None, AUTO} or (begun and is_start_again(cfg.resume, folder))
    if begun and not resumes:
        run_folder.refuse_used(folder)
    point: ResumePoint = NEW
    given: list[str] = []
    if resumes:
        point = find_point(folder)
        cfg, given = _continued(cfg, folder, overrides, point)
    else:
        if any(cfg[key] != unset for key, unset in WITHOUT_WEIGHTS.items()):
            cfg = with_weights(cfg, overrides)
        cfg = undegraded_pairs(cfg)
        if cfg.get("sets") is not None:  # not in files of earlier versions
            cfg = with_sets(cfg)
    processes = settle_size(cfg.trainer, here())
    OmegaConf.resolve(cfg)
    config = plain(cfg)
    check_addresses(config, known=not resumes)
    check_data(cfg, config)
    if resumes:
        point.clear_the_way(folder)
    return Job(
        config=config,
        folder=str(folder),
        processes=processes,
        notes={
            # the run's next start needs the search path of this one too
            "overrides": [*filter(is_search_path, typed.hydra), *overrides],
            "given": given,
            "resumes": resumes,
            "accepted": accepted,
            "checkpoint": None if point.path is None else str(point.path),
            "is_cell": runs_cells(HydraConfig.get()),  # its processes do not know
            "is_one_of_many": HydraConfig.get().mode == RunMode.MULTIRUN,
        },
    )


def check_data(cfg: DictConfig, config: PlainConfig) -> None:
    """Refuse data that cannot be trained on or scored as asked; no image is read yet.

    Raises:
        ConfigError: If processes and accumulation do not divide a batch, or nothing logs the score
            that picks the best: else hours would pass before it is asked for.
        DataError: If a set of images is not there.
    """
    data, benchmarks = build_data(cfg), None
    if isinstance(data, RestorationData):  # data of one's own alone know what they score
        world = cfg.trainer.devices * cfg.trainer.num_nodes
        data.stages.check_shares(world=world, accumulated=cfg.trainer.accumulate_grad_batches)
        data.check_sources()
        benchmarks = data.benchmark_names
    check_monitors(config, benchmarks)
    monitor_mode(config)


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
    _refuse_unsaid_change(old, new, given, followed, point.step)
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


def _refuse_unsaid_change(
    old: DictConfig, new: DictConfig, given: Sequence[str], followed: Sequence[str], step: int
) -> None:
    """Refuse a resume whose schedule would change only because something else was given."""
    if any(text.startswith("scheduler=") for text in given):
        return
    for text in followed:
        key, _, value = text.partition("=")
        if not key.startswith("scheduler.") or OmegaConf.select(old, key) is None:
            continue
        kept = f"{key}={OmegaConf.select(old, key)}"
        if kept != text:
            raise ConfigError(
                f"{' '.join(given)} would also change the learning-rate schedule, {kept} to "
                f"{value}, which nobody asked for{_jump(old, new, step)}. Give either\n"
                f"  {text}   the schedule of a run of that length, from this step on\n"
                f"  {kept}   the schedule as it was"
            )


def _jump(old: DictConfig, new: DictConfig, step: int) -> str:
    before, after = _rate(old, step), _rate(new, step)
    if before is None or after is None:
        return ""
    return f": the rate after step {step} would be {after:.4g} instead of {before:.4g}"


def _rate(cfg: DictConfig, step: int) -> float | None:
    """Return the learning rate after ``step`` optimizer steps; None where no formula gives it."""
    peak = OmegaConf.select(cfg, "optimizer.lr")
    if peak is None:
        return None
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=float(peak))
    schedule = make(cfg.scheduler)(optimizer)
    return float(peak) * schedule.lr_lambdas[0](step) if isinstance(schedule, LambdaLR) else None
