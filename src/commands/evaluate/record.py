"""What every record says beside its scores: what was scored, by what, how, and at what cost."""

import hashlib
import json
import shlex
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torch import Tensor

from src.app.build import plain
from src.core.origin import hardware, origin, versions
from src.core.paths import ROOT
from src.training.tasks.base import RestorationTask
from src.weights.checkpoint import Checkpoint

_DECIDES = ("task", "model", "degradation", "protocol", "metrics", "inference", "io", "seed")
"""Parts of a configuration that move a score; folders and devices do not."""


def about(
    task: RestorationTask,
    cfg: DictConfig,
    checkpoint: Checkpoint | None,
    *,
    name: str | None,
    took: dict[str, Any],
) -> dict[str, Any]:
    """Return all that a record says beside its scores.

    Args:
        task: What was scored.
        cfg: What it was built from, resolved.
        checkpoint: Where its weights came from.
        name: What it is called in tables; None: after its network.
        took: Wall time and peak memory.
    """
    held: dict[str, Any] = plain(cfg)
    return {
        "name": name or str(held["model"]["_target_"]).split(".")[-2],
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": command(),
        "checkpoint": checkpoint and _short(str(checkpoint.path)),
        "step": checkpoint and checkpoint.step,
        "weights_sha256": checkpoint and weights_hash(checkpoint.weights),
        "trained_by": checkpoint and checkpoint.origin,
        "scored_by": {**origin(), "packages": versions()},
        "config_sha256": config_hash(held),
        "task": held["task"],
        "model": held["model"],
        "degradation": held["degradation"],
        "protocol": task.evaluator.protocol.as_dict(),
        "inference": task.restorer.policy.as_dict(),
        "dtype": str(_dtype(task)).removeprefix("torch."),
        "hardware": hardware(),
        "took": took,
    }


def command() -> str | None:
    """Return the command line that is being run, or None where there is none."""
    if not HydraConfig.initialized():
        return None
    settings = HydraConfig.get()
    words = [_short(word) for word in settings.overrides.task]
    return f"python -m src.{settings.job.config_name} {shlex.join(words)}".rstrip()


def config_hash(config: Mapping[str, Any]) -> str:
    """Return SHA-256 of what in a plain configuration decides the scores."""
    decisive = {key: config[key] for key in _DECIDES if key in config}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def weights_hash(weights: Mapping[str, Tensor]) -> str:
    """Return SHA-256 over names and bytes of tensors, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _dtype(task: RestorationTask) -> torch.dtype:
    return next((weights.dtype for weights in task.net.parameters()), torch.float32)


def _short(text: str) -> str:
    """Return a path or override without the folder of the repository before it."""
    return text.replace(f"{ROOT}/", "")
