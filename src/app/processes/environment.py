"""How Lightning is told which process this is."""

import os

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment


def cluster_environment() -> ClusterEnvironment:
    """Return how Lightning is to find this process's place.

    Left to itself it takes any process in a SLURM allocation for one that srun has started, and
    waits for the others.
    """
    return TorchElasticEnvironment() if "LOCAL_RANK" in os.environ else LightningEnvironment()
