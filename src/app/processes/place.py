"""Which process of how many this is, who started it, and how many a trainer asks for."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from omegaconf import DictConfig, open_dict

from src.core.errors import ConfigError

if TYPE_CHECKING:
    from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment

VARIABLES = (
    "RANK",
    "LOCAL_RANK",
    "GROUP_RANK",
    "NODE_RANK",
    "ROLE_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "GROUP_WORLD_SIZE",
    "ROLE_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "PL_GLOBAL_SEED",
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_USE_AGENT_STORE",
)
"""Environment variables that put a process into a group, or are left by one that was in it."""

TORCHRUN, SLURM = "torchrun", "SLURM"

OURS = ("ddp", "fsdp")
"""Strategies of ours, by the names that Lightning has for those of its own."""

_OURS = "src.training.strategies."

OWN_LAUNCH = ("ddp_spawn", "ddp_fork", "ddp_notebook")
"""Lightning's strategies that start processes themselves, each with its own copy of the config."""

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
"""What ``trainer.accelerator`` may be."""

PATIENCE = timedelta(minutes=10)
"""How long the other processes wait for the first one to settle the job."""


@dataclass(frozen=True)
class Place:
    """A process among those that somebody else has started."""

    starter: str | None = None  # ``torchrun`` or ``SLURM``; None where this process stands alone
    rank: int = 0  # among all, 0 ≤ rank < world; the first settles the job
    world: int = 1  # number of processes
    local_world: int = 1  # number of them on this machine

    @property
    def machines(self) -> int:
        """Number of machines."""
        return self.world // self.local_world


def here() -> Place:
    """Return this process's place, from the variables that torchrun or srun has set.

    Raises:
        ConfigError: If the variables contradict each other, or SLURM's tasks are not spread evenly
            over the machines.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ and _number("WORLD_SIZE") > 1:
        return _placed_by_torchrun()
    tasks = _number("SLURM_STEP_NUM_TASKS")  # of this srun; a batch script itself has none
    if tasks <= 1:
        return Place()
    nodes = max(1, _number("SLURM_STEP_NUM_NODES"))
    if tasks % nodes:
        raise ConfigError(
            f"SLURM has started {tasks} processes on {nodes} machines, which is not the same "
            "number on each; use #SBATCH --ntasks-per-node=<devices>."
        )
    return Place(SLURM, _number("SLURM_PROCID"), tasks, tasks // nodes)


def _placed_by_torchrun() -> Place:
    rank, world, local_world = (_number(n) for n in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    possible = rank < world and 0 < local_world <= world and world % local_world == 0
    if not possible or not os.environ.get("RANK", "").isdigit():
        said = ", ".join(
            f"{name}={os.environ.get(name, '(not set)')}"
            for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
        )
        raise ConfigError(
            f"The environment places this process where none can be: {said}. RANK must be below "
            "WORLD_SIZE, and LOCAL_WORLD_SIZE divide it. Let torchrun set them, or unset them all "
            "(and TORCHELASTIC_RUN_ID) to train in one process."
        )
    return Place(TORCHRUN, rank, world, local_world)


def _number(name: str) -> int:
    text = os.environ.get(name, "0")
    return int(text) if text.isdigit() else 0


def cluster_environment() -> "ClusterEnvironment":
    """Return how Lightning is to find this process's place.

    Left to itself it takes any process in a SLURM allocation for one that srun has started, and
    waits for the others.
    """
    # only now: it takes seconds
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    return TorchElasticEnvironment() if "LOCAL_RANK" in os.environ else LightningEnvironment()


def settle_size(trainer: DictConfig, place: Place) -> int:
    """Write the numbers of devices and machines into ``trainer``; return that of processes here.

    Raises:
        ConfigError: If the devices are of no kind or not there, or torchrun or srun has started
            another number.
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


def check_devices(trainer: DictConfig, asked: int = 1) -> None:
    """Refuse devices that are not there, and kinds on which these networks have never run.

    Raises:
        ConfigError: If ``trainer.accelerator`` is none of ``ACCELERATORS``, or CUDA sees fewer
            than ``asked`` cards.
    """
    if trainer.accelerator not in ACCELERATORS:
        raise ConfigError(
            f"trainer.accelerator={trainer.accelerator} is not possible; "
            f"it must be {' | '.join(ACCELERATORS)}."
        )
    if trainer.accelerator in ("gpu", "cuda"):
        _check_cards(trainer, asked)
    elif trainer.accelerator == "mps" and not _has_mps():
        raise ConfigError(
            "trainer.accelerator=mps: not on this machine, or torch is a build without it. Take "
            "trainer=cpu."
        )


def _devices(trainer: DictConfig, place: Place) -> int:
    """Return the devices asked for on this machine; 0 where that is left open."""
    asked = trainer.devices
    number = asked if isinstance(asked, int) and asked > 0 else 0
    check_devices(trainer, number)
    if number:
        return number
    if asked not in ("auto", -1, "-1"):
        raise ConfigError(
            f"trainer.devices={asked} must be a number, or auto for all; choose cards by "
            "CUDA_VISIBLE_DEVICES=0,2."
        )
    if place.starter is not None:
        return 0
    if trainer.accelerator == "cpu":
        return 1
    check_devices(trainer, 1)
    return max(1, _cards())


def _check_cards(trainer: DictConfig, asked: int) -> None:
    there = _cards()
    if there < asked:
        raise ConfigError(
            f"trainer.accelerator={trainer.accelerator} with {asked} devices a machine: CUDA sees "
            f"{there} here. Take trainer.devices={max(1, there)}"
            + ("" if there else " and trainer=cpu, or trainer=ddp_cpu for several processes")
            + "."
        )


def _has_mps() -> bool:
    import torch  # as below

    return torch.backends.mps.is_available()


def _cards() -> int:
    import torch  # only now: it takes a second

    return torch.cuda.device_count()


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
