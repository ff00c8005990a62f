"""Evaluation in several processes: each scores its share of the images, all get all scores."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.app.inference import trainer_device
from src.app.processes.job import Job, settled_by_hydra
from src.app.processes.place import cluster_environment, here
from src.core.errors import ConfigError


def settle_evaluation(cfg: DictConfig, folder: Path) -> Job:
    """Return the job of an evaluation; its number of processes and folder are decided.

    What only a checkpoint's own configuration can give stays an interpolation: nothing in it is
    drawn, and every process reads the same checkpoint.

    Args:
        cfg: As Hydra has composed it.
        folder: Where results go, if there are several processes.

    Raises:
        ConfigError: If the number of processes cannot be.
    """
    place, processes = here(), int(cfg.processes)
    if processes < 1:
        raise ConfigError(f"processes={processes} must be 1 or more.")
    if place.starter is not None:
        if processes not in (1, place.local_world):
            raise ConfigError(
                f"{place.starter} has started {place.local_world} processes on each machine; leave "
                f"processes={processes} out."
            )
        processes = place.local_world
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=False)  # type: ignore[assignment]
    config["processes"] = processes
    if processes * place.machines > 1:
        config["output"] = str(folder)  # its name holds the time, which each would read for itself
        config["paths"] = OmegaConf.to_container(cfg.paths, resolve=True)
    return Job(config, str(folder), processes=processes, hydra=settled_by_hydra())


def trainer_place(cfg: DictConfig) -> dict[str, Any]:
    """Return what Lightning's trainer must know of devices and processes.

    Raises:
        ConfigError: If one device is named for several processes.
    """
    placed = trainer_device(cfg.device)
    if cfg.processes == 1 and here().machines == 1:
        return placed
    if ":" in cfg.device:
        raise ConfigError(
            f"device={cfg.device} names one device, processes={cfg.processes} need one each; take "
            "device=cuda and choose cards by CUDA_VISIBLE_DEVICES=0,2."
        )
    return {
        **placed,
        "devices": cfg.processes,
        "num_nodes": here().machines,
        "strategy": "ddp",
        "use_distributed_sampler": False,  # ours shares the images and repeats none
        "plugins": [cluster_environment()],
    }
