"""How the processes of a training work together, as conf/trainer/ names it."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.optim import Optimizer

from src.core.errors import ConfigError
from src.models.blocks.trunk import blocks_of
from src.training.tasks.base import RestorationTask

PATIENCE_S = 600.0
"""Seconds that a process waits for the others before it gives them up."""


class ShardedStrategy(ModelParallelStrategy):
    """Each process keeps its part of every weight; a block is put together while it is used.

    The sharing is torch's ``fully_shard``, of weights, gradients and optimizer state.

    Lightning's strategy of this kind asks a task to share itself out; here the network is, so that
    tasks and networks need not know. Unlike Lightning's FSDPStrategy it runs on processors too.
    A checkpoint is one whole file, as with any other strategy.

    Args:
        timeout: How long a process waits for the others.
    """

    def __init__(self, *, timeout: timedelta) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False, timeout=timeout)

    def setup_environment(self) -> None:
        """Join the other processes, all of which share the weights."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def setup(self, trainer: Trainer) -> None:
        """Share the network out, then make the optimizer, which is to see the parts.

        Raises:
            ConfigError: If something was chosen that needs whole weights.
        """
        task = self.lightning_module
        if not isinstance(task, RestorationTask) or self.accelerator is None or self.model is None:
            raise TypeError("the strategy is set up with an accelerator and a RestorationTask")
        _refuse_what_needs_whole_weights(trainer, task)
        self.accelerator.setup(trainer)
        share_out(task.net, self.device_mesh["data_parallel"])
        self.model = self.precision_plugin.convert_module(self.model)
        self.model_to_device()
        self.barrier()
        if trainer.state.fn == TrainerFn.FITTING:
            self.setup_optimizers(trainer)
        self.setup_precision_plugin()

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the whole state on process 0; an optimizer that has done no step has done none.

        To learn what a state consists of, torch lets a new optimizer do a step without gradients,
        and counts it; Adam's corrections for its first steps would be those of later ones.
        """
        plain = optimizer.optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        is_new = not plain.state
        state: dict[str, Any] = super().optimizer_state(plain)
        if is_new:
            for of_weight in state.get("state", {}).values():
                if "step" in of_weight:
                    of_weight["step"] = torch.zeros_like(of_weight["step"])
            plain.state.clear()
        return state

    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Load each process's part; return the rest.

        Torch hands ``betas`` back as a list. It is made a pair again, so that the next checkpoint
        is that of a run which never stopped.
        """
        state: dict[str, Any] = super().load_checkpoint(checkpoint_path, weights_only)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                if "betas" in group:
                    group["betas"] = tuple(group["betas"])
        return state

    def on_validation_start(self) -> None:
        """Put the weights together: processes score other images, and then would wait in vain."""
        for part in self._parts():
            part.unshard()
            part.set_reshard_after_forward(False, recurse=False)

    def on_validation_end(self) -> None:
        """Share the weights out again."""
        for part in self._parts():
            part.set_reshard_after_forward(True, recurse=False)
            part.reshard()

    def _parts(self) -> list[FSDPModule]:
        if self.model is None:
            return []
        return [module for module in self.model.modules() if isinstance(module, FSDPModule)]


def share_out(net: nn.Module, mesh: DeviceMesh) -> None:
    """Share the weights of ``net`` out among the processes of ``mesh``, block by block.

    Only the weights of one block are whole at a time, in the forward and the backward pass; those
    that no block holds alone are whole during the whole step.
    """
    blocks = list(blocks_of(net))
    for block in blocks:
        others = {p for other in blocks if other is not block for p in other.parameters()}
        if not others & set(block.parameters()):
            fully_shard(block, mesh=mesh)
    fully_shard(net, mesh=mesh)


def _refuse_what_needs_whole_weights(trainer: Trainer, task: RestorationTask) -> None:
    if task.compiled is not None:
        raise ConfigError("trainer=fsdp puts blocks together as they are called: compile=false.")
    if any(isinstance(c, WeightAveraging) for c in trainer.callbacks):  # type: ignore[attr-defined]
        raise ConfigError("trainer=fsdp has no averaged weights: leave out callbacks=ema.")


def ddp(*, patience_s: float = PATIENCE_S) -> DDPStrategy:
    """Return the strategy by which each process has the whole network and gradients are averaged.

    Args:
        patience_s: Seconds without an answer from the other processes after which a run ends; more
            than the longest step, and than the time by which validations may differ.

    Raises:
        ConfigError: If it is not above 0.
    """
    return DDPStrategy(timeout=_time(patience_s))


def fsdp(*, patience_s: float = PATIENCE_S) -> ShardedStrategy:
    """Return the strategy by which processes share out weights, gradients and optimizer state.

    Checkpoints are whole ones all the same, so that any other number of processes can read them.

    Args:
        patience_s: As of :func:`ddp`.

    Raises:
        ConfigError: If it is not above 0.
    """
    return ShardedStrategy(timeout=_time(patience_s))


def _time(patience_s: float) -> timedelta:
    if patience_s <= 0:
        raise ConfigError(f"trainer.strategy.patience_s={patience_s} must be above 0, in seconds.")
    return timedelta(seconds=patience_s)
