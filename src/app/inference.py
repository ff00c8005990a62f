"""What evaluate and predict make of a checkpoint: device, inference policy, attention block."""

from dataclasses import replace
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from src.app.config.options import options_of
from src.core.errors import ConfigError, did_you_mean
from src.core.heap import MMAP_THRESHOLD, TOP_PAD, give_back_freed, tell_malloc
from src.core.paths import CONF_DIR, shown
from src.degradations.mosaic import Mosaic
from src.inference.policy import InferencePolicy
from src.ops.bayer import PHASES
from src.weights.checkpoint import Checkpoint

AS_TRAINED = "as_trained"
_GROUP = "model/attention"


def pick_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` is a GPU where there is one, else the CPU.

    Raises:
        ConfigError: If it is unknown or not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            name = "cuda"
        else:
            name = "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(
            f"device={name}: unknown. Allowed: auto, cpu, cuda, cuda:<n>, mps."
        ) from error
    there = {
        "cpu": True,
        "cuda": (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise ConfigError(
            f"device={name}: not on this machine, or torch is a build without it "
            f"(torch {torch.__version__}). Use device=auto."
        )
    return device


def trainer_device(name: str) -> dict[str, Any]:
    """Return Lightning's accelerator and devices for the device called ``name``."""
    device = pick_device(name)
    if device.type == "cuda":
        return {"accelerator": "gpu", "devices": [device.index or 0]}
    return {"accelerator": device.type, "devices": 1}


def merge_inference(checkpoint: Checkpoint | None, given: DictConfig) -> dict[str, Any]:
    """Return the checkpoint's inference settings with those that the user gave.

    What no checkpoint says, or one of an earlier version, is as `InferencePolicy` has it.
    """
    trained = InferencePolicy().as_dict()
    if checkpoint is not None:
        trained |= dict(checkpoint.config.inference)
    return {
        str(key): trained[str(key)] if value == AS_TRAINED else value
        for key, value in given.items()
    }


def task_of(checkpoint: Checkpoint) -> str:
    """Return what a network is for: ``denoise``, ``dejpeg``, ``demosaic``, ``superresolution``.

    Of a network alone it is what its file says, else the name of its class in small letters.
    """
    config = checkpoint.config
    named = config.get("task", {}).get("_target_") or checkpoint.origin.get("task")
    named = named or config.get("model", {}).get("_target_")
    return str(named).rpartition(".")[2].lower()


def demosaicing(checkpoint: Checkpoint, phase: str | None) -> Mosaic | None:
    """Return how a network for demosaicing receives mosaics; None for any other network.

    Args:
        checkpoint: Of a training, or a network whose file or class says that it demosaics; of any
            other network alone ``phase`` says so.
        phase: Of the mosaics; None: as trained.

    Raises:
        ConfigError: If the network does not demosaic, or there is no such phase.
    """
    trained = checkpoint.config.get("degradation") or {}
    is_mosaic = "mosaic" in f"{trained.get('_target_')} {task_of(checkpoint)}".lower()
    is_known = trained or checkpoint.origin.get("task")
    if phase is not None and is_known and not is_mosaic:
        where = shown(checkpoint.path)
        raise ConfigError(f"phase={phase}: {where} does not demosaic; leave phase=… out.")
    if phase not in {None, *PHASES}:
        raise ConfigError(f"phase={phase}: {did_you_mean(str(phase), PHASES)}")
    if not is_mosaic and phase is None:
        return None
    return Mosaic(phase or trained.get("phase", "random"))


def with_attention(checkpoint: Checkpoint, name: str | None) -> Checkpoint:
    """Return ``checkpoint`` with its attention block replaced by that called ``name``, if any.

    What both blocks are given, e.g. ``levels``, stays as it was trained; the rest is as in
    conf/model/attention. Whether the weights fit is seen when they are loaded.

    Raises:
        ConfigError: If there is no such block, or the network has no place for one.
    """
    if name is None:
        return checkpoint
    options = options_of(_GROUP)
    if name not in options:
        raise ConfigError(f"attention={name}: {did_you_mean(name, options)}")
    trained = checkpoint.config.model.get("attention")
    if trained is None:
        raise ConfigError(
            f"attention={name}: the network of {checkpoint.path} has no attention block; "
            "leave it out."
        )
    block = OmegaConf.load(CONF_DIR / _GROUP / f"{name}.yaml")
    if not isinstance(block, DictConfig):
        raise TypeError(f"{name}.yaml is no mapping")
    kept = {key: value for key, value in trained.items() if key in block and key != "_target_"}
    config = checkpoint.config.copy()
    OmegaConf.set_struct(config, value=False)
    config.model.attention = OmegaConf.merge(block, kept)
    return replace(checkpoint, config=config)


def give_back_large_blocks() -> None:
    """Let large tensors return to the system when dropped, so that peaks are what is in use.

    For commands that only restore: a training step makes the same tensors again and again and keeps
    them (docs/decisions/0004-keep-freed-memory.md), but whole images of any size leave holes. The
    spare that the heap has at its end by then is given back too: tensors would lie there and stay.
    """
    tell_malloc({MMAP_THRESHOLD: 2**22, TOP_PAD: 2**17})  # the spare is glibc's own choice again
    give_back_freed()
