"""What evaluate and predict share: the device and the inference policy of a checkpoint."""

from typing import Any

import torch
from omegaconf import DictConfig

from src.core.errors import ConfigError
from src.runtime.checkpoint import Checkpoint

AS_TRAINED = "as_trained"


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


def merge_inference(checkpoint: Checkpoint, given: DictConfig) -> dict[str, Any]:
    """Return the checkpoint's inference settings with those that the user gave."""
    trained = checkpoint.config.inference
    return {
        key: trained[key] if given[key] == AS_TRAINED else given[key]
        for key in ("tile", "overlap", "ensemble")
    }
