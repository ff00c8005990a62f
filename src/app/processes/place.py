"""Which process of how many this is, and who started it; no torch is needed to tell."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

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

PATIENCE = timedelta(minutes=10)
"""How long the other processes wait for the first one to settle the job."""


@dataclass(frozen=True)
class Place:
    """A process among those that somebody else has started.

    Attributes:
        starter: ``torchrun`` or ``SLURM``; None where this process stands alone.
        rank: Among all, 0 ≤ rank < world; the first settles the job.
        world: Number of processes.
        local_world: Number of them on this machine.
    """

    starter: str | None = None
    rank: int = 0
    world: int = 1
    local_world: int = 1

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
    if "SLURM_STEP_NUM_TASKS" not in os.environ:  # of this srun; a batch script itself has none
        return Place()
    tasks = _number("SLURM_STEP_NUM_TASKS")
    if tasks > 1:
        nodes = max(1, _number("SLURM_STEP_NUM_NODES"))
        if tasks % nodes:
            raise ConfigError(
                f"SLURM has started {tasks} processes on {nodes} machines, which is not the same "
                "number on each; use #SBATCH --ntasks-per-node=<devices>."
            )
        return Place(SLURM, _number("SLURM_PROCID"), tasks, tasks // nodes)
    return Place()


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
