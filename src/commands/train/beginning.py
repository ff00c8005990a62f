"""What a training begins with: the weights of another network, and what of them stays fixed."""

import logging
from collections.abc import Sequence

from lightning.fabric.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from torch import nn

from src.app.config.options import key_of
from src.commands.train.matching import PARTIAL, STRICT, Matching, begin_from
from src.core.console import make_console
from src.core.errors import ConfigError, did_you_mean
from src.optim.groups import freeze
from src.weights.checkpoint import Checkpoint, open_checkpoint
from src.weights.conversion import with_published_weights
from src.weights.hub import is_remote, pinned

logger = logging.getLogger(__name__)

WITHOUT_WEIGHTS = {"weights": None, "weights_match": STRICT, "architecture": None}
"""Keys of a configuration that say what a training begins with, as they are if it is nothing."""

_CHOOSING = ("model=", "experiment=")
_ATTENTION = "model/attention"


def with_weights(cfg: DictConfig, typed: Sequence[str]) -> DictConfig:
    """Return the configuration of a new training, with the network of the weights given.

    A choice of the user's own, ``model=…`` or an experiment, beats the network that the weights
    bring, but for its switches, where all weights are to fit; ``model.<key>=…`` and
    ``model/attention=…`` change that one. Published weights are converted first.

    Raises:
        ConfigError: If the keys contradict each other, or the network does not fit the task.
        CheckpointError: If the weights cannot be read.
    """
    if cfg.weights_match not in (STRICT, PARTIAL):
        hint = did_you_mean(str(cfg.weights_match), (STRICT, PARTIAL))
        raise ConfigError(f"weights_match={cfg.weights_match}: {hint}")
    if cfg.weights is None:
        key = next(key for key, unset in WITHOUT_WEIGHTS.items() if cfg[key] != unset)
        raise ConfigError(f"{key}={cfg[key]} goes with weights=…; add it, or leave it out.")
    begun = cfg.copy()
    begun.weights = _converted(cfg)
    begun.architecture = None
    chosen = any(text.lstrip("+~").startswith(_CHOOSING) for text in typed)
    if chosen and cfg.weights_match == PARTIAL:
        return begun
    checkpoint = open_checkpoint(begun.weights)
    keys = [*map(key_of, typed)]
    if chosen:
        _take_switches(begun, checkpoint.config.model, keys)
        return begun
    begun.model = OmegaConf.to_container(checkpoint.config.model)
    _change(begun, cfg, keys)
    if cfg.weights_match == PARTIAL:
        _suit(begun.model, cfg)
    else:
        _check_fit(checkpoint, cfg)
    return begun


def _take_switches(begun: DictConfig, theirs: DictConfig, keys: Sequence[str]) -> None:
    """Set what is true or false of the same kind of network as the weights have it, and say so.

    Published weights have, for one, batch norm merged into the convolutions. What is typed stays.
    """
    if begun.model.get("_target_") != theirs.get("_target_"):
        return
    for key in map(str, theirs):
        value = theirs[key]
        differs = isinstance(value, bool) and begun.model.get(key) not in (value, None)
        if differs and f"model.{key}" not in keys:
            begun.model[key] = value
            logger.warning("model.%s=%s, as the network of the weights has it", key, value)


def _change(begun: DictConfig, cfg: DictConfig, keys: Sequence[str]) -> None:
    """Give the network of the weights what the user has typed for a network."""
    if _ATTENTION in keys:
        begun.model.attention = cfg.model.attention
    for key in (key for key in keys if key.startswith("model.")):
        name = key.split(".")[1]
        if name not in begun.model:
            hint = did_you_mean(name, map(str, begun.model))
            raise ConfigError(f"{key}: the network of the weights takes no {name!r}. {hint}")
        OmegaConf.update(begun, key, OmegaConf.select(cfg, key))


def _suit(model: DictConfig, cfg: DictConfig) -> None:
    """Give a network the channels and the scale of the task, where it has a choice."""
    noise_map = int(model.get("in_channels", 0) == model.get("out_channels", 0) + 1)
    needed = {**cfg.io, "in_channels": cfg.io.in_channels + noise_map}
    model.update({key: needed[key] for key in needed if key in model})


def _converted(cfg: DictConfig) -> str:
    asked = {"checkpoint": cfg.weights, "architecture": cfg.architecture, "paths": cfg.paths}
    scale = cfg.task.get("scale")
    if is_remote(cfg.weights) and cfg.architecture is None:
        return pinned(str(cfg.weights))  # a branch may say something else tomorrow
    return str(with_published_weights(OmegaConf.create({**asked, "scale": scale})).checkpoint)


def _check_fit(checkpoint: Checkpoint, cfg: DictConfig) -> None:
    """Refuse a network that cannot do the task."""
    for key in ("in_channels", "out_channels", "scale"):
        has, needs = int(checkpoint.config.io[key]), int(cfg.io[key])
        noise_map = key == "in_channels" and has == needs + 1
        enlarged_before = key == "scale" and has == 1
        if has != needs and not noise_map and not enlarged_before:
            raise ConfigError(
                f"weights={cfg.weights}: its network has {key}={has}, the task {needs}. Choose the "
                "task that it was made for, or take what fits of its weights: weights_match=partial"
            )


def begin_with(net: nn.Module, cfg: DictConfig, checkpoint: Checkpoint | None) -> None:
    """Copy weights into ``net``, if given, freeze what ``cfg`` names, and say what became of all.

    Raises:
        CheckpointError: If the weights do not fit.
        ConfigError: If a pattern fits no parameter, or nothing would be left to train.
    """
    matching = None if checkpoint is None else begin_from(net, checkpoint, cfg.weights_match)
    frozen = freeze(net, cfg.get("freeze", []))  # not in files of earlier versions
    _say(matching, frozen)


@rank_zero_only
def _say(matching: Matching | None, frozen: int) -> None:
    console = make_console(stderr=True)
    if matching is not None:
        matching.report(console)
    if frozen:
        console.print(f"Frozen      {frozen:,} numbers stay as they are")
