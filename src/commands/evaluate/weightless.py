"""Evaluation without a training: a task, and a model without weights or a network file."""

from datetime import datetime
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from torch import nn

from src.app.config.options import read_primary
from src.app.inference import AS_TRAINED
from src.core.errors import ConfigError
from src.core.paths import CONF_DIR, from_root
from src.inference.restorer import InferencePolicy
from src.weights.checkpoint import NETWORK_SUFFIX, Checkpoint

_EXAMPLE = "For example: checkpoint=outputs/denoise/panet_small/2026-01-31_12-00-00"
_GIVEN = ("task", "model", "data", "degradation", "protocol", "metrics", "io", "paths")
_UNUSED = ("loss", "optimizer", "scheduler")  # a task is always built with them


def check_request(cfg: DictConfig) -> None:
    """Refuse a configuration from which it is not clear what is to be scored.

    Raises:
        ConfigError: If neither a checkpoint nor a task is given, or both are; a network file needs
            a task, and brings its model.
    """
    if str(cfg.checkpoint).endswith(NETWORK_SUFFIX):
        _check_network_request(cfg)
        return
    chosen = [group for group in ("task", "model") if cfg.get(group) is not None]
    if cfg.checkpoint is not None and chosen:
        raise ConfigError(
            f"checkpoint=… brings its own {' and '.join(chosen)}; leave {'=… '.join(chosen)}=… out."
        )
    if cfg.checkpoint is None and cfg.attention is not None:
        raise ConfigError(
            f"attention={cfg.attention} needs checkpoint=…, whose block it replaces; leave it out."
        )
    if cfg.checkpoint is None and "task" not in chosen:
        raise ConfigError(
            f"Not given, and needed: checkpoint=…   a run folder or a .ckpt file\n{_EXAMPLE}\n"
            "A model that needs no weights: task=super_resolution model=bicubic"
        )


def _check_network_request(cfg: DictConfig) -> None:
    if cfg.get("task") is None:
        raise ConfigError(
            f"checkpoint={cfg.checkpoint} holds a network and no task: add task=… (and data=…), "
            "e.g. task=super_resolution task.scale=2."
        )
    typed = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    for text in typed:
        if text.lstrip("+~").startswith(("model=", "model.", "model/")):
            raise ConfigError(
                f"checkpoint={cfg.checkpoint} brings its own model; leave out {text}."
            )


def for_network(cfg: DictConfig, checkpoint: Checkpoint) -> DictConfig:
    """Return ``settings`` with the network of a file in place of the task's choice.

    Raises:
        ConfigError: If the task's images have other channels than the network.
    """
    merged = settings(cfg)
    merged.model = checkpoint.config.model
    for key in ("in_channels", "out_channels"):
        has, needs = checkpoint.config.io[key], cfg.io[key]
        if has != needs and not (key == "in_channels" and has == needs + 1):  # a noise map
            raise ConfigError(
                f"{checkpoint.path} has {key}={has}, the task {needs}; choose a task of the same "
                "channels, e.g. task=dejpeg (luma) or task=dejpeg_colour."
            )
    return merged


def settings(cfg: DictConfig) -> DictConfig:
    """Return all that a task and its data are built from, unresolved.

    What training alone would need is as ``conf/train.yaml`` chooses.
    """
    merged = {group: OmegaConf.to_container(cfg[group]) for group in _GIVEN if cfg.get(group)}
    defaults = read_primary("train").groups
    for group in (*_UNUSED, "metrics"):
        if group not in merged:
            file = CONF_DIR / group / f"{defaults[group]}.yaml"
            merged[group] = OmegaConf.to_container(OmegaConf.load(file))
    policy = InferencePolicy().as_dict()
    for key, value in cfg.inference.items():
        policy[str(key)] = policy[str(key)] if value == AS_TRAINED else value
    rest = {"inference": policy, "seed": cfg.seed, "channels_last": False}
    return OmegaConf.create({**merged, **rest})


def check_net(net: nn.Module) -> None:
    """Refuse a network that would be scored with random weights.

    Raises:
        ConfigError: If ``net`` has parameters.
    """
    count = sum(parameter.numel() for parameter in net.parameters())
    if count:
        raise ConfigError(
            f"{type(net).__name__} has {count:,} parameters and no weights: give checkpoint=… in "
            "place of task= and model=, or take model=bicubic or model=identity."
        )


def output_folder(cfg: DictConfig) -> Path:
    """Return ``<output_root>/evaluate/<task>/<model>/<time>``."""
    stamp = datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
    task, model = (str(cfg[group]["_target_"]).split(".")[-2] for group in ("task", "model"))
    return from_root(str(cfg.paths.output_root)) / "evaluate" / task / model / stamp
