"""What an evaluation is built from: the checkpoint's own configuration, and what was given."""

from omegaconf import DictConfig, OmegaConf

from src.app.inference import merge_inference
from src.commands.evaluate import weightless
from src.core.errors import ConfigError
from src.core.paths import CONF_DIR
from src.weights.checkpoint import Checkpoint

_GROUPS = ("data", "degradation", "protocol", "metrics")
READING = ("cache", "cache_dir", "cache_limit_gb", "on_error", "prefetch", "workers")
"""Keys of ``data`` that say how images are read, not which."""


def settings(cfg: DictConfig, checkpoint: Checkpoint | None) -> DictConfig:
    """Return all that task and data are built from, resolved.

    Args:
        cfg: The configuration of ``src.evaluate``, of one combination.
        checkpoint: What ``cfg.checkpoint`` names.

    Raises:
        ConfigError: If a condition does not fit the degradation or the checkpoint.
    """
    cfg = _with_scale(cfg, checkpoint)
    if checkpoint is None:
        merged = weightless.settings(cfg)
    elif checkpoint.network_alone:
        merged = weightless.for_network(cfg, checkpoint)
    else:
        merged = _as_trained(cfg, checkpoint)
    if cfg.sets is not None:
        merged.data = _folder_of_images(cfg.sets, cfg.get("data"))
    for key in ("sigma", "quality"):
        if cfg[key] is not None:
            _set_level(merged.degradation, key, cfg[key])
    for key in ("train", "train_dir", "transform"):  # scoring needs nothing of training
        if key in merged.data:
            merged.data[key] = None
    OmegaConf.resolve(merged)
    return merged


def _as_trained(cfg: DictConfig, checkpoint: Checkpoint) -> DictConfig:
    """Return the checkpoint's config with the groups that were given, unresolved."""
    merged = checkpoint.config.copy()
    for group in _GROUPS:
        if cfg.get(group) is not None:
            merged[group] = OmegaConf.to_container(cfg[group])
    new_protocol = cfg.get("protocol") is not None and cfg.get("degradation") is None
    if new_protocol and "clip8" in merged.degradation:
        # The trained degradation was frozen with the trained protocol's answer to this.
        merged.degradation.clip8 = merged.protocol.input_8bit
    merged.paths = OmegaConf.to_container(cfg.paths)
    if (
        cfg.get("data") is None and "cache_dir" in merged.data
    ):  # the cache is this machine's, whatever the training's was
        merged.data.cache_dir = cfg.paths.cache_dir
    merged.inference = merge_inference(checkpoint, cfg.inference)
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


def _set_level(degradation: DictConfig, key: str, level: float) -> None:
    if key not in degradation:
        kind = str(degradation["_target_"]).split(".")[-2]
        fitting = {"sigma": "degradation=gaussian", "quality": "degradation=jpeg"}[key]
        raise ConfigError(
            f"{key}={level}: the degradation {kind} has no {key}; leave it out, or take {fitting}."
        )
    degradation[key] = [level, level]


def _folder_of_images(folder: str, given: DictConfig | None) -> DictConfig:
    """Return data that score one folder: read as ``given`` says, with all else as in conf/data/."""
    parts = (OmegaConf.load(CONF_DIR / f"data/{name}.yaml") for name in ("_base", "folder"))
    how = {key: given[key] for key in READING if key in given} if given is not None else {}
    merged = DictConfig(OmegaConf.merge(*parts, how, {"val_dir": folder}))
    del merged["defaults"]
    return merged
