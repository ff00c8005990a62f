"""How many processes a trainer asks for, agreed with who starts them."""

import torch
from omegaconf import DictConfig, open_dict

from src.app.processes.place import SLURM, Place
from src.core.errors import ConfigError

OURS = ("ddp", "fsdp")
"""Strategies of ours, by the names that Lightning has for those of its own."""

_OURS = "src.training.strategies."

OWN_LAUNCH = ("ddp_spawn", "ddp_fork", "ddp_notebook")
"""Lightning's strategies that start processes themselves, each with its own copy of the config."""


def settle_size(trainer: DictConfig, place: Place) -> int:
    """Write the number of processes into ``trainer``; return that of this machine.

    Args:
        trainer: The trainer's node; ``devices`` and ``num_nodes`` are numbers afterwards.
        place: Where this process stands.

    Raises:
        ConfigError: If the devices are not there, or torchrun or srun has started another number.
    """
    node = trainer.get("strategy", "auto")  # Lightning's short name, or a node
    target = node.get("_target_", "") if isinstance(node, DictConfig) else f"{node}"
    strategy = str(target).removeprefix(_OURS)
    if strategy in OWN_LAUNCH:
        raise ConfigError(
            f"trainer.strategy={strategy} starts processes by itself, so that they could run with "
            "different settings; take trainer=ddp, or trainer=ddp_cpu."
        )
    asked = _devices(trainer, place)
    nodes = int(trainer.num_nodes)
    if place.starter is None:
        if nodes > 1:
            raise ConfigError(
                f"trainer.num_nodes={nodes} needs a start on every machine: "
                f"torchrun --nnodes={nodes} --nproc-per-node={asked} --node-rank=<0, 1, …> "
                "--master-addr=<first machine> -m src.train …, or srun (trainer=ddp_slurm)."
            )
        devices = asked
    else:
        devices, nodes = _as_started(asked, nodes, place)
    with open_dict(trainer):
        trainer.devices, trainer.num_nodes = devices, nodes
        named = isinstance(trainer.get("strategy"), str)
        if named and (strategy in OURS or (devices * nodes > 1 and strategy == "auto")):
            trainer.strategy = {"_target_": f"{_OURS}{strategy if strategy in OURS else 'ddp'}"}
    return devices


def _devices(trainer: DictConfig, place: Place) -> int:
    """Return the devices asked for on this machine; 0 where that is left open."""
    asked, on_cards = trainer.devices, trainer.accelerator in ("gpu", "cuda")
    if isinstance(asked, int) and asked > 0:
        if on_cards:
            _check_cards(trainer, asked)
        return asked
    if asked not in ("auto", -1, "-1"):
        raise ConfigError(
            f"trainer.devices={asked} must be a number, or auto for all; choose cards by "
            "CUDA_VISIBLE_DEVICES=0,2."
        )
    if place.starter is not None:
        return 0
    if trainer.accelerator == "cpu":
        return 1
    if on_cards:
        _check_cards(trainer, 1)
    return max(1, torch.cuda.device_count())


def _check_cards(trainer: DictConfig, asked: int) -> None:
    there = torch.cuda.device_count()
    if there < asked:
        raise ConfigError(
            f"trainer.accelerator={trainer.accelerator} with {asked} devices a machine: CUDA sees "
            f"{there} here. Take trainer.devices={max(1, there)}"
            + ("" if there else " and trainer=cpu, or trainer=ddp_cpu for several processes")
            + "."
        )


def _as_started(asked: int, nodes: int, place: Place) -> tuple[int, int]:
    fits = asked in (0, 1, place.local_world) and nodes in (1, place.machines)
    if not fits:
        raise ConfigError(
            f"{place.starter} has started {place.local_world} processes on {place.machines} "
            f"machines, the configuration asks for {asked} on {nodes}: leave trainer.devices and "
            f"trainer.num_nodes to {place.starter} (trainer=cpu, gpu, "
            f"{'ddp_slurm' if place.starter == SLURM else 'ddp'})."
        )
    return place.local_world, place.machines
