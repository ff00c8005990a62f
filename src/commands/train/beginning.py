"""What a training begins with: the weights of another network, and what of them stays fixed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from lightning.fabric.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import Tensor, nn

from src.core.console import make_console
from src.core.errors import CheckpointError, ConfigError, did_you_mean
from src.weights.checkpoint import Checkpoint, load_weights, open_checkpoint
from src.weights.conversion import with_published_weights

STRICT, PARTIAL = "strict", "partial"
_CHOOSING = ("model=", "model.", "model/", "experiment=")


def with_weights(cfg: DictConfig, typed: Sequence[str]) -> DictConfig:
    """Return the configuration of a new training, with the network of the weights given.

    A choice of the user's own, ``model=…`` or an experiment, beats the network that the weights
    bring. Published weights are converted first.

    Args:
        cfg: Composed, not resolved.
        typed: The overrides as typed.

    Raises:
        ConfigError: If the keys contradict each other, or the network does not fit the task.
        CheckpointError: If the weights cannot be read.
    """
    if cfg.weights_match not in (STRICT, PARTIAL):
        hint = did_you_mean(str(cfg.weights_match), (STRICT, PARTIAL))
        raise ConfigError(f"weights_match={cfg.weights_match}: {hint}")
    if cfg.weights is None:
        for key, unset in (("weights_match", STRICT), ("architecture", None)):
            if cfg[key] != unset:
                raise ConfigError(f"{key}={cfg[key]} goes with weights=…; add it, or leave it out.")
        return cfg
    begun = cfg.copy()
    begun.weights = _converted(cfg)
    begun.architecture = None
    if any(text.lstrip("+~").startswith(_CHOOSING) for text in typed):
        return begun
    checkpoint = open_checkpoint(begun.weights)
    _check_fit(checkpoint, cfg)
    begun.model = OmegaConf.to_container(checkpoint.config.model)
    return begun


def _converted(cfg: DictConfig) -> str:
    asked = {"checkpoint": cfg.weights, "architecture": cfg.architecture, "paths": cfg.paths}
    scale = cfg.task.get("scale")
    return str(with_published_weights(OmegaConf.create({**asked, "scale": scale})).checkpoint)


def _check_fit(checkpoint: Checkpoint, cfg: DictConfig) -> None:
    """Refuse a network that cannot do the task.

    Raises:
        ConfigError: Naming what differs.
    """
    for key in ("in_channels", "out_channels", "scale"):
        has, needs = int(checkpoint.config.io[key]), int(cfg.io[key])
        noise_map = key == "in_channels" and has == needs + 1
        enlarged_before = key == "scale" and has == 1
        if has != needs and not noise_map and not enlarged_before:
            raise ConfigError(
                f"weights={cfg.weights}: its network has {key}={has}, the task {needs}. Choose the "
                "task that it was made for, or another network for what fits of its weights: "
                "model=… weights_match=partial"
            )


@dataclass(frozen=True)
class Matching:
    """What became of each tensor, by name with its shape.

    Attributes:
        loaded: In both, of one shape.
        new: Of the network alone, or of another shape there; as at the start of any training.
        skipped: Of the file alone, or of another shape there.
    """

    loaded: dict[str, tuple[int, ...]]
    new: dict[str, tuple[int, ...]]
    skipped: dict[str, tuple[int, ...]]

    def report(self, console: Console) -> None:
        """Print three lists: loaded in brief, the others by name."""
        for title, tensors in (
            ("loaded", self.loaded),
            ("new", self.new),
            ("skipped", self.skipped),
        ):
            console.print(f"Weights     {title}: {_count(tensors)}")
            if title == "loaded":
                continue
            for name, shape in tensors.items():
                console.print(f"              {name} {'×'.join(map(str, shape)) or 'one number'}")


def _count(tensors: dict[str, tuple[int, ...]]) -> str:
    numbers = sum(map(math.prod, tensors.values()))
    return f"{len(tensors)} tensors, {numbers:,} numbers"


def begin_with(net: nn.Module, cfg: DictConfig, checkpoint: Checkpoint | None) -> None:
    """Copy weights into ``net``, freeze what ``cfg`` names, and say what became of all.

    Args:
        net: The network of the training.
        cfg: With ``weights_match`` and ``freeze``.
        checkpoint: What to start from; None in a resumed training, or where nothing is given.

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


def begin_from(net: nn.Module, checkpoint: Checkpoint, match: str) -> Matching:
    """Copy weights into ``net``, all of them, or with ``partial`` those that fit.

    Raises:
        CheckpointError: If they do not fit, or with ``partial`` none does.
    """
    own, given = _shapes(net.state_dict()), _shapes(dict(checkpoint.weights))
    loaded = {name: shape for name, shape in own.items() if given.get(name) == shape}
    matching = Matching(
        loaded,
        {name: shape for name, shape in own.items() if name not in loaded},
        {name: shape for name, shape in given.items() if name not in loaded},
    )
    if match == STRICT and (matching.new or matching.skipped):
        try:
            load_weights(net, checkpoint)
        except CheckpointError as error:
            raise CheckpointError(f"{error}\n  weights_match=partial takes what fits.") from error
    if not loaded:
        raise CheckpointError(
            f"{checkpoint.path}: none of its {len(given)} tensors has the name and shape of one of "
            f"the network's, e.g. {next(iter(given))} there and {next(iter(own))} here. Choose its "
            "own network: leave model=… out."
        )
    net.load_state_dict({name: checkpoint.weights[name] for name in loaded}, strict=False)
    return matching


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def freeze(net: nn.Module, patterns: Sequence[str]) -> int:
    """Keep the parameters whose names fit a pattern as they are; return how many numbers that is.

    Raises:
        ConfigError: If a pattern fits none, or nothing would be left to train.
    """
    names = dict(net.named_parameters())
    frozen: dict[str, nn.Parameter] = {}
    for pattern in patterns:
        fitting = {name: each for name, each in names.items() if fnmatchcase(name, pattern)}
        if not fitting:
            groups = ", ".join(sorted({f"{name.partition('.')[0]}.*" for name in names}))
            raise ConfigError(f"freeze: {pattern!r} fits no parameter. There are: {groups}")
        frozen.update(fitting)
    if patterns and len(frozen) == len(names):
        raise ConfigError(f"freeze={list(patterns)} leaves nothing to train; name fewer.")
    for parameter in frozen.values():
        parameter.requires_grad_(False)
    return sum(parameter.numel() for parameter in frozen.values())
