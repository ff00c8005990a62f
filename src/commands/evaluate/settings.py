"""What an evaluation is built from: the checkpoint's own configuration, and what was given."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from torch import nn

from src.app.build import LEVELS, set_level, undegraded_pairs
from src.app.config.options import key_of, read_primary
from src.app.inference import merge_inference
from src.core.errors import ConfigError
from src.core.paths import CONF_DIR
from src.weights.checkpoint import Checkpoint, names_network

READING = ("cache", "cache_dir", "cache_limit_gb", "grey", "on_error", "prefetch", "workers")
"""Keys of ``data`` that say how images are read, not which."""
_PIXELS = ("channels", "grey")
"""Keys of ``data`` that decide which pixels are scored."""
_OF_TRAINING = ("train", "train_dir", "target_dir", "input_dir", "transform")
"""Keys of ``data`` of which scoring needs nothing."""
_EXAMPLE = "For example: checkpoint=outputs/denoise/panet_small/2026-01-31_12-00-00"
_GIVEN = ("task", "model", "data", "degradation", "protocol", "metrics", "io", "paths")
_REPLACING = ("data", "degradation", "protocol", "metrics")
_UNUSED = ("loss", "optimizer", "scheduler")  # a task is always built with them


def check_request(cfg: DictConfig) -> None:
    """Refuse a configuration from which it is not clear what is to be scored.

    Raises:
        ConfigError: If neither a checkpoint nor a task is given, or both are; a network file needs
            a task, and brings its model. Or if keys are given that no evaluation can follow.
    """
    _check_keys(cfg)
    if cfg.restored is not None:
        _check_restored_request(cfg)
        return
    if names_network(cfg.checkpoint):
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


def typed() -> list[str]:
    """Return the overrides of the command line; none where there is no command."""
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def _check_restored_request(cfg: DictConfig) -> None:
    keys = [*map(key_of, typed())]
    vain = ("checkpoint", "attention", "model", "degradation", "sigma", "quality", "phase",
            "realisations", "inference", "seed")  # fmt: skip
    extra = [key for key in keys if key.partition(".")[0].partition("/")[0] in vain]
    if extra:
        raise ConfigError(
            f"restored={cfg.restored} is scored as it is, nothing is degraded or restored: leave "
            f"out {', '.join(extra)}."
        )
    if cfg.sets is None or (cfg.get("task") is None and cfg.get("protocol") is None):
        raise ConfigError(
            f"restored={cfg.restored} needs the clean images, sets=<prepared set or folder>, and "
            "protocol=… or task=…; of enlarged images scale=… too.\n"
            "For example: restored=rival/Set5 sets=set5 protocol=sr_y scale=2"
        )


def _check_keys(cfg: DictConfig) -> None:
    """Refuse keys of training, and noise that is to be drawn less than once."""
    for text in typed():
        if key_of(text).removeprefix("data.") in _OF_TRAINING:
            raise ConfigError(
                f"{text}: nothing is trained here. Images to score are data.val_dir=<folder>, "
                "pairs data.val_target_dir=<folder> data.val_input_dir=<folder>."
            )
    if cfg.realisations < 1:
        raise ConfigError(f"realisations={cfg.realisations} must be 1 or more.")


def _check_network_request(cfg: DictConfig) -> None:
    if cfg.get("task") is None:
        raise ConfigError(
            f"checkpoint={cfg.checkpoint} holds a network and no task: add task=… (and data=…), "
            "e.g. task=super_resolution task.scale=2."
        )
    for text in typed():
        if text.lstrip("+~").startswith(("model=", "model.", "model/")):
            raise ConfigError(
                f"checkpoint={cfg.checkpoint} brings its own model; leave out {text}."
            )


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


def settings(cfg: DictConfig, checkpoint: Checkpoint | None) -> DictConfig:
    """Return all that task and data are built from, resolved.

    Raises:
        ConfigError: If a condition does not fit the degradation or the checkpoint.
    """
    return _restoring(cfg, checkpoint) if cfg.restored is None else _judged(cfg)


def _restoring(cfg: DictConfig, checkpoint: Checkpoint | None) -> DictConfig:
    cfg = _with_scale(cfg, checkpoint)
    if checkpoint is None:
        merged = _as_given(cfg)
    elif checkpoint.network_alone:
        merged = _for_network(cfg, checkpoint)
    else:
        merged = _as_trained(cfg, checkpoint)
    if cfg.sets is not None:
        merged.data = _folder_of_images(cfg.sets, merged.get("data"))
    merged = undegraded_pairs(merged)
    for key in LEVELS:
        if cfg[key] is not None:
            set_level(merged.degradation, key, cfg[key])
    # Scoring needs nothing of training.
    for key in _OF_TRAINING:
        if key in merged.data:
            merged.data[key] = None
    OmegaConf.resolve(merged)
    return merged


def _as_trained(cfg: DictConfig, checkpoint: Checkpoint) -> DictConfig:
    """Return the checkpoint's config with the groups that were given, unresolved."""
    merged = checkpoint.config.copy()
    for group in _REPLACING:
        if cfg.get(group) is not None:
            merged[group] = OmegaConf.to_container(cfg[group])
    for key in _PIXELS:  # a network is fed what it was trained on, whatever folder is scored
        if key in checkpoint.config.data and not any(f"data.{key}=" in text for text in typed()):
            merged.data[key] = checkpoint.config.data[key]
    new_protocol = cfg.get("protocol") is not None and cfg.get("degradation") is None
    if new_protocol and "clip8" in merged.degradation:
        # The trained degradation was frozen with the trained protocol's answer to this.
        merged.degradation.clip8 = merged.protocol.input_8bit
    merged.val_conditions = None  # those of this evaluation are given by themselves
    merged.loss = {"_target_": "torch.nn.L1Loss"}  # no loss is computed, and none needs its files
    merged.paths = OmegaConf.to_container(cfg.paths)
    if cfg.get("data") is None and "cache_dir" in merged.data:
        merged.data.cache_dir = cfg.paths.cache_dir  # of this machine, not of the training's
    merged.inference = merge_inference(checkpoint, cfg.inference)
    return merged


def _for_network(cfg: DictConfig, checkpoint: Checkpoint) -> DictConfig:
    """Return ``_as_given`` with the network of a file in place of the task's choice."""
    merged = _as_given(cfg)
    merged.model = checkpoint.config.model
    for key in ("in_channels", "out_channels"):
        has, needs = checkpoint.config.io[key], cfg.io[key]
        if has != needs and not (key == "in_channels" and has == needs + 1):  # a noise map
            raise ConfigError(
                f"{checkpoint.path} has {key}={has}, the task {needs}; choose a task of the same "
                "channels, e.g. task=denoise_grey, task=dejpeg (luma) or task=dejpeg_colour."
            )
    return merged


def _as_given(cfg: DictConfig) -> DictConfig:
    """Return what a task without a training is built from, unresolved.

    What training alone would need is as ``conf/train.yaml`` chooses.
    """
    merged = {group: OmegaConf.to_container(cfg[group]) for group in _GIVEN if cfg.get(group)}
    defaults = read_primary("train").groups
    for group in (*_UNUSED, "metrics"):
        if group not in merged:
            file = CONF_DIR / group / f"{defaults[group]}.yaml"
            merged[group] = OmegaConf.to_container(OmegaConf.load(file))
    policy = merge_inference(None, cfg.inference)
    rest = {"inference": policy, "seed": cfg.seed, "channels_last": False}
    return OmegaConf.create({**merged, **rest})


def _judged(cfg: DictConfig) -> DictConfig:
    """Return settings that score images which are restored already: no network, no degradation."""
    cfg = cfg.copy()
    scale = cfg.io.scale = cfg.scale or cfg.io.scale
    task = cfg.get("task")
    if scale > 1 or not task or "SuperResolution" in task["_target_"]:
        # what is large already stays so
        cfg.task = {"_target_": "src.training.tasks.restoration.Dejpeg"}
    for group, name in (("model", "identity"), ("degradation", "identity")):
        cfg[group] = OmegaConf.load(CONF_DIR / group / f"{name}.yaml")
    merged = _as_given(cfg)
    if scale > 1 and merged.protocol.get("multiple") == "resample":
        raise ConfigError(
            f"protocol={merged.protocol.name} resamples the clean images, and restored=… is "
            "compared with them as they are; take protocol=sr_y."
        )
    folders = {"target_dir": cfg.sets, "restored_dir": cfg.restored, "multiple": scale}
    source = {"_target_": "src.data.pairs.RestoredImages", **folders}
    merged.data = _folder_of_images(cfg.sets, merged.get("data"))
    merged.data.update({"val_dir": None, "benchmarks": {Path(cfg.sets).name: source}})
    merged.inference.tile = None
    OmegaConf.resolve(merged)
    return merged


def _with_scale(cfg: DictConfig, checkpoint: Checkpoint | None) -> DictConfig:
    """Return ``cfg`` with its scale in the task, where the task is free to choose it."""
    if cfg.scale is None:
        return cfg
    if checkpoint is not None and not checkpoint.network_alone:
        trained = checkpoint.config.io.scale
        raise ConfigError(
            f"scale={cfg.scale}: {checkpoint.path} was trained for ×{trained}; leave scale=… out."
        )
    if "scale" not in cfg.task:
        raise ConfigError(
            f"scale={cfg.scale}: only super-resolution has a scale; take task=super_resolution, "
            "or leave it out."
        )
    scaled = cfg.copy()
    scaled.task.scale = cfg.scale
    return scaled


def _folder_of_images(folder: str, given: DictConfig | None) -> DictConfig:
    """Return data that score one folder: its pixels as ``given`` has them, else as conf/data/."""
    parts = (OmegaConf.load(CONF_DIR / f"data/{name}.yaml") for name in ("_base", "folder"))
    keys = {*READING, *_PIXELS}
    how = {key: given[key] for key in keys if key in given} if given is not None else {}
    merged = DictConfig(OmegaConf.merge(*parts, how, {"val_dir": folder}))
    del merged["defaults"]
    return merged
