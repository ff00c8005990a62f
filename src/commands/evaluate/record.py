"""What came out of one combination: its scores, and what its record says beside them."""

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from src.app.build import plain
from src.app.results import METRIC_NAMES, score_table
from src.commands.evaluate.settings import READING
from src.core.origin import hardware, origin, versions
from src.core.paths import ROOT
from src.data.prepared import doubt
from src.metrics.direction import higher_is_better
from src.metrics.scoreboard import Scoreboard
from src.models.backbones import BACKBONES
from src.training.tasks.base import RestorationTask
from src.weights.checkpoint import Checkpoint, weights_hash
from src.weights.checkpoint_file import BEST

_DECIDES = ("task", "model", "degradation", "protocol", "metrics", "inference", "io")
_READ_AS = ("channels", "grey")  # of ``data``
"""Parts of a configuration that move a score; folders and devices do not."""
_TRAINED_WITH = ("task", "degradation", "loss", "optimizer", "scheduler", "seed", "monitor")
_TRAINER = ("max_steps", "precision", "accumulate_grad_batches", "gradient_clip_val")


@dataclass(frozen=True)
class Scored:
    """What came out of one combination."""

    folder: Path  # of its record
    boards: dict[str, Scoreboard]  # of each benchmark
    about: dict[str, Any]  # what its record says beside the scores
    sets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # which images these are
    spread: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # over realisations

    def first_score(self) -> float:
        """Return the mean of the first metric on the first benchmark."""
        return next(iter(next(iter(self.boards.values())).means().values()))

    def show(self, console: Console, checkpoint: Checkpoint | None) -> None:
        """Print the scores of each image, and what they are scores of."""
        console.print(score_table(self.boards, self.about["protocol_in_words"]))
        if checkpoint is not None:
            when = "" if checkpoint.network_alone else f" (step {checkpoint.step:,})"
            console.print(f"Checkpoint  {checkpoint.path}{when}")
        console.print(f"Inference   {self.about['inference_in_words']}")
        for name, spread in self.spread.items():
            seeds = len(self.about["noise_seeds"])
            each = ", ".join(
                f"{METRIC_NAMES.get(m, m)} ±{s:.4f}"
                for m, s in spread.items()
                if not m.endswith("_input")
            )
            console.print(f"Noise       {name}: {seeds} realisations, standard deviation {each}")
        if self.about["read_as"]["channels"] == 1:
            console.print("Pixels      luma of 16 to 235 where files have colour")
        show_doubts(console, [self])
        chosen_on = (self.about["training"] or {}).get("chosen_on", [])
        if not self.boards.keys().isdisjoint(chosen_on):
            console.print(f"Chosen on   {', '.join(chosen_on)}: these scores chose the checkpoint")
        console.print(f"Written     {self.folder}")


def show_doubts(console: Console, scored: Iterable[Scored]) -> None:
    """Print once of each image set why no published score compares, where that is so."""
    doubts = [(name, doubt(name, one)) for each in scored for name, one in each.sets.items()]
    for name, reason in dict.fromkeys(doubts):
        if reason:
            console.print(f"Images      {name}: {reason}", style="yellow")


def about(
    task: RestorationTask,
    cfg: DictConfig,
    checkpoint: Checkpoint | None,
    *,
    name: str | None,
    took: dict[str, Any],
) -> dict[str, Any]:
    """Return all that a record says beside its scores; without ``name`` it has the network's."""
    config: dict[str, Any] = plain(cfg)
    metrics = task.evaluator.metrics
    dtype = next((weights.dtype for weights in task.net.parameters()), torch.float32)
    return {
        "name": name or BACKBONES.name_of(config["model"]["_target_"]),
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": command(),
        "checkpoint": checkpoint and _short(str(checkpoint.path)),
        "step": checkpoint and checkpoint.step,
        "weights_sha256": checkpoint and weights_hash(checkpoint.weights),
        "trained_by": checkpoint and checkpoint.origin,
        "scored_by": {**origin(), "packages": versions()},
        "training": checkpoint and training_of(checkpoint),
        "parameters": sum(weights.numel() for weights in task.net.parameters()),
        "task": config["task"],
        "model": config["model"],
        "degradation": config["degradation"],
        "higher_is_better": {name: higher_is_better(name, metrics) for name in metrics},
        "read_as": {key: config["data"].get(key) for key in _READ_AS},
        "protocol": task.evaluator.protocol.as_dict(),
        "inference": task.restorer.policy.as_dict(),
        "dtype": str(dtype).removeprefix("torch."),
        "hardware": hardware(),
        "took": took,
        "protocol_in_words": str(task.evaluator.protocol),
        "inference_in_words": task.restorer.describe(),
    }


def training_of(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """Return what of a training may move scores, on what, and which sets chose its checkpoint.

    Of a network alone that is not known: None.
    """
    if checkpoint.network_alone:
        return None
    config: dict[str, Any] = plain(checkpoint.config)
    data = {key: value for key, value in config["data"].items() if key not in READING}
    scored = [*(data.pop("benchmarks", None) or {})]
    folders = data.pop("val_dir", None) or data.pop("val_target_dir", None) or []
    scored += [Path(f).name for f in ([folders] if isinstance(folders, str) else folders)]
    return {
        **{key: config[key] for key in _TRAINED_WITH if key in config},
        "data": {
            key: _short(value) if isinstance(value, str) else value for key, value in data.items()
        },
        "trainer": {key: config["trainer"][key] for key in _TRAINER if key in config["trainer"]},
        "chosen_on": scored if checkpoint.path.name == BEST else [],
    }


def command() -> str | None:
    """Return the command line that is being run, or None where there is none."""
    if not HydraConfig.initialized():
        return None
    settings = HydraConfig.get()
    words = [_short(word) for word in settings.overrides.task]
    return f"python -m src.{settings.job.config_name} {shlex.join(words)}".rstrip()


def config_hash(config: Mapping[str, Any], scored: Mapping[str, Any]) -> str:
    """Return SHA-256 of what decides scores in ``config``, and of what was ``scored`` how."""
    decisive: dict[str, Any] = {key: config[key] for key in _DECIDES if key in config}
    decisive["data"] = {key: config["data"].get(key) for key in _READ_AS}
    decisive["scored"] = scored
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _short(text: str) -> str:
    """Return a path or override without the folder of the repository before it."""
    return text.replace(f"{ROOT}/", "")
