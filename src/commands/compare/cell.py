"""One cell of a comparison: its configuration, and what is kept of it, which is small."""

import csv
import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra import initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from src.app.build import plain
from src.app.config.options import register_resolvers
from src.app.sweeps.cell_files import CELL, COMPARED
from src.app.sweeps.plan import checked_jobs
from src.core.files import write_json
from src.core.origin import hardware, origin
from src.core.paths import CONF_DIR
from src.training.callbacks.csv_logger import METRICS
from src.weights.checkpoint import Checkpoint
from src.weights.network_file import write_network

NETWORK = "model.safetensors"
KEPT = (*COMPARED, NETWORK)
_SPEED = "perf/images_per_s"


def configs_of(jobs: Sequence[Sequence[str]]) -> list[DictConfig]:
    """Return the configurations of trainings by their words, resolved; nothing is made.

    Raises:
        ConfigError: If the words of one cannot work.
    """
    register_resolvers(claim=False)
    with initialize_config_dir(str(CONF_DIR), version_base="1.3", job_name="compare"):
        return [OmegaConf.create(config) for config in checked_jobs("train", jobs)]


def kind_of_device(cfg: DictConfig) -> str:
    """Return on what a cell is trained, as ``device=`` of other commands says it."""
    kinds = {"cpu": "cpu", "gpu": "cuda", "cuda": "cuda"}
    return kinds.get(str(cfg.trainer.accelerator), "auto")


def keep(folder: Path, cfg: DictConfig, checkpoint: Checkpoint, cost: Mapping[str, Any]) -> None:
    """Write weights and cost of a cell that is trained and scored, and remove all else.

    The cost is operations of a training step's forward pass, and time and memory of training and
    scoring.
    """
    about = {**origin(), "step": checkpoint.step, "task": str(cfg.task["_target_"])}
    model = plain(checkpoint.config)["model"]
    write_network(folder / NETWORK, checkpoint.weights, model, about)
    seconds = seconds_a_step(folder / METRICS, int(cfg.data.batch_size))
    step = {"steps": checkpoint.step, "seconds_a_step": seconds}
    whole = with_earlier_starts(cost, checkpoint.step * (seconds or 0))
    machine = {**hardware(), "matmul_precision": torch.get_float32_matmul_precision()}
    write_json(folder / CELL, {**step, **whole, "hardware": machine})
    for path in folder.iterdir():  # the file that says it is finished is there already
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name not in KEPT:
            path.unlink(missing_ok=True)


def with_earlier_starts(cost: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Return the cost with the time of all steps, where a training has gone on after a stop.

    ``seconds`` is that time. What earlier starts spent beside steps is not known: it is left out.
    """
    training = dict(cost["training"])
    if cost["went_on"]:
        training["wall_seconds"] = max(training["wall_seconds"], seconds)
    return {**cost, "training": training}


def seconds_a_step(metrics: Path, batch: int) -> float | None:
    """Return the median time of a training step, scoring apart; None where it was not logged."""
    with metrics.open(encoding="utf-8", newline="") as file:
        speeds = [float(row[_SPEED]) for row in csv.DictReader(file) if row.get(_SPEED)]
    return batch / statistics.median(speeds) if speeds else None
