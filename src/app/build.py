"""The composition root: config in, objects out; the only place that instantiates."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import lightning as L  # noqa: N812
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import nn

from src.app.processes.place import cluster_environment
from src.core.errors import ConfigError
from src.core.locks import OwnFolder
from src.core.types import PlainConfig
from src.data.datamodule import RestorationData
from src.data.prepared import folders_of_sets
from src.inference.policy import InferencePolicy
from src.inference.restorer import Restorer
from src.metrics.evaluator import Evaluator
from src.models.blocks.trunk import recompute_blocks
from src.models.initial_weights import build_with_initial_weights
from src.training.callbacks.carried import PendingRow, Provenance, RandomState
from src.training.callbacks.checkpoint import AtomicCheckpointIO, LastCheckpoint
from src.training.callbacks.going_on import InOwnFolder
from src.training.callbacks.stopping import FinalValidation, TimeLimit
from src.training.tasks.base import RestorationTask
from src.weights.checkpoint import in_memory_order

logger = logging.getLogger(__name__)

LEVELS = {"sigma": "gaussian", "quality": "jpeg", "phase": "mosaic"}
"""What is given beside a degradation, and the degradation that has it."""


make: Callable[..., Any] = partial(instantiate, _convert_="all")
"""Instantiates a node with plain lists and dicts inside; an empty node gives {}."""


def plain(cfg: DictConfig) -> PlainConfig:
    """Return ``cfg`` resolved, without any OmegaConf object."""
    return cast("PlainConfig", OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True))


def build_task(cfg: DictConfig) -> RestorationTask:
    """Build the parts named in ``cfg`` and hand them to its task."""
    net: nn.Module = build_with_initial_weights(partial(make, cfg.model), cfg.seed)
    if cfg.channels_last:
        net = in_memory_order(net, channels_last=True)
    if cfg.get("recompute", False):  # not in checkpoints of earlier versions
        recompute_blocks(net)
    task: RestorationTask = make(cfg.task, _partial_=True)(
        net=net,
        degradation=make(cfg.degradation),
        conditions={name: make(node) for name, node in conditions_of(cfg).items()},
        loss=make(cfg.loss),
        evaluator=Evaluator(make(cfg.protocol), make(cfg.metrics)),
        restorer=Restorer(net, InferencePolicy(**plain(cfg.inference))),
        optimizer=make(cfg.optimizer),
        scheduler=make(cfg.scheduler),
        lr_factors=cfg.get("lr_factors"),
        seed=cfg.seed,
        channels_last=cfg.channels_last,
        compiled=cfg.get("compile", False),
    )
    return task


def undegraded_pairs(cfg: DictConfig) -> DictConfig:
    """Return ``cfg`` without a degradation where its data are pairs, whose inputs are degraded."""
    if any(cfg.data.get(f"{part}target_dir") is not None for part in ("", "val_")):
        cfg = cfg.copy()
        cfg.degradation = {"_target_": "src.degradations.identity.Identity"}
    return cfg


def with_sets(cfg: DictConfig) -> DictConfig:
    """Return the configuration of a training with the images that its ``sets`` names to score.

    Raises:
        ConfigError: If ``data`` names folders or pairs to score too.
        DataError: If a set is not prepared.
    """
    folders = [str(folder) for folder in folders_of_sets(plain(cfg)["sets"], cfg.paths.data_dir)]
    for key in ("val_dir", "val_target_dir"):
        if cfg.data.get(key) not in (None, folders):
            raise ConfigError(
                f"sets={cfg.sets} and data.{key} both say what is scored; leave one out."
            )
    cfg = cfg.copy()
    OmegaConf.update(cfg, "data.benchmarks", {}, merge=False, force_add=True)
    OmegaConf.update(cfg, "data.val_dir", folders, merge=False, force_add=True)
    return cfg


def build_data(cfg: DictConfig) -> RestorationData:
    """Build the data of ``cfg``; nothing is read yet."""
    data: RestorationData = make(cfg.data)
    if isinstance(data, RestorationData):  # else data of one's own, which is scored once
        data.conditions = tuple(conditions_of(cfg))
    return data


def build_trainer(cfg: DictConfig, config: PlainConfig) -> L.Trainer:
    """Build the trainer of ``cfg``, whose checkpoints hold ``config``, the same as plain dicts."""
    own = OwnFolder(Path(cfg.paths.output_dir))
    callbacks: Mapping[str, L.Callback] = make(cfg.callbacks)
    # The last state comes last, so that it holds what the others, such as the best, have noted.
    last = [callback for callback in callbacks.values() if isinstance(callback, LastCheckpoint)]
    ordered = [*(callback for callback in callbacks.values() if callback not in last), *last]
    max_time = config["trainer"].get("max_time")
    limits = [] if max_time is None else [TimeLimit(max_time)]
    loggers: Mapping[str, Logger] = make(cfg.logger) if cfg.get("logger") else {}
    carried = (Provenance(config), PendingRow())
    trainer: L.Trainer = make(cfg.trainer, _partial_=True)(
        # The random state first: the checkpoint that a run begins with holds it as set then.
        callbacks=[RandomState(), InOwnFolder(own), FinalValidation(), *limits, *ordered, *carried],
        logger=list(loggers.values()),
        plugins=[AtomicCheckpointIO(own), cluster_environment()],
        default_root_dir=cfg.paths.output_dir,
        enable_checkpointing=bool(callbacks),
    )
    return trainer


def set_level(degradation: DictConfig, key: str, level: float | str) -> None:
    """Change a degradation's node to the one level of ``key`` at which it is scored.

    Raises:
        ConfigError: If the degradation has no such key.
    """
    if key not in degradation:
        kind = str(degradation["_target_"]).split(".")[-2]
        if kind == "identity":
            raise ConfigError(
                f"{key}={level}: nothing is degraded here, as with pairs; leave it out."
            )
        raise ConfigError(
            f"{key}={level}: the degradation {kind} has no {key}; leave it out, or take "
            f"degradation={LEVELS.get(key, 'another')}."
        )
    if key == "phase" and degradation.phase not in {"random", level}:
        logger.warning("phase=%s: the network was trained for phase %s.", level, degradation.phase)
    degradation[key] = level if key == "phase" else [level, level]


def conditions_of(cfg: DictConfig) -> dict[str, DictConfig]:
    """Return name, e.g. ``sigma_15``, → the degradation of each condition of ``val_conditions``.

    Raises:
        ConfigError: If it is not one key with its levels, or the degradation has no such key.
    """
    given: Mapping[str, Any] = cfg.get("val_conditions") or {}
    nodes = {}
    for key, levels in given.items():
        kind = str if key == "phase" else int | float
        listed = isinstance(levels, list | tuple | ListConfig) and len(levels) > 0
        fits = listed and all(isinstance(level, kind) for level in levels)
        if key not in LEVELS or len(given) > 1 or not fits or len({*levels}) < len(levels):
            raise ConfigError(
                f"val_conditions={dict(given)} must be levels of one of {', '.join(LEVELS)}, each "
                "once, e.g. val_conditions={sigma:[15,25,50]}."
            )
        for level in levels:
            node = cfg.degradation.copy()
            set_level(node, key, level)
            nodes[f"{key}_{level}"] = node
    return nodes
