"""What a run that goes on takes up, and what must agree: states, folder and processes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from src.core.errors import ConfigError
from src.core.locks import OwnFolder
from src.optim.groups import FACTOR

COMMON = ("base_lrs", "last_epoch", "_step_count", "_last_lr", "_is_initial")
"""What the state of every schedule has: its progress, no setting."""


class NewSettings(Callback):
    """Lay given values over those that optimizer and scheduler restore from a checkpoint.

    A new learning rate is a new peak: the schedule's present share of it is kept.

    Args:
        optimizer: Name → value, e.g. {"lr": 5e-5}.
        scheduler: Whether a setting of the schedule was given; only its progress is restored then.
    """

    def __init__(self, optimizer: Mapping[str, Any], *, scheduler: bool) -> None:
        self.optimizer, self.scheduler = dict(optimizer), scheduler

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Change the states before Lightning hands them to optimizer and scheduler."""
        for state in checkpoint["lr_schedulers"] if self.scheduler else ():
            for name in [name for name in state if name not in COMMON]:
                del state[name]
            state["lr_lambdas"] = [None] * len(state["base_lrs"])  # LambdaLR asks: none was saved
        others = {name: value for name, value in self.optimizer.items() if name != "lr"}
        for state in checkpoint["optimizer_states"]:
            for group in state["param_groups"]:
                group.update(others)
        if "lr" in self.optimizer:
            self._scale(checkpoint, float(self.optimizer["lr"]))

    @staticmethod
    def _scale(checkpoint: dict[str, Any], peak: float) -> None:
        for state in checkpoint["optimizer_states"]:
            for group in state["param_groups"]:
                before = group.get("initial_lr", group["lr"])
                share = group["lr"] / before if before else 1.0
                group["initial_lr"] = peak * group.get(FACTOR, 1.0)
                group["lr"] = group["initial_lr"] * share
        groups = checkpoint["optimizer_states"][0]["param_groups"]
        for state in checkpoint["lr_schedulers"]:
            state["base_lrs"] = [group["initial_lr"] for group in groups]
            state["_last_lr"] = [group["lr"] for group in groups]


class MisfitError(ValueError):
    """A state in a checkpoint is of another kind than that which it is to replace."""


class FittingStates(Callback):
    """Compare the states of optimizer and schedule in a checkpoint with those that they replace.

    torch takes up whatever is there, a word for a number or for a method, and fails steps later.
    """

    def __init__(self) -> None:
        self._states: Mapping[str, Any] = {}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep what Lightning will hand to optimizer and schedule."""
        self._states = checkpoint

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare; MisfitError names the first difference."""
        schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
        for state, schedule in zip(self._states.get("lr_schedulers", ()), schedules, strict=False):
            _check_kinds(state, schedule.state_dict(), type(schedule))
        for state, own in zip(
            self._states.get("optimizer_states", ()), trainer.optimizers, strict=False
        ):
            for group, own_group in zip(state["param_groups"], own.param_groups, strict=False):
                _check_kinds(group, own_group, type(own))


def _check_kinds(state: Mapping[str, Any], own: Mapping[str, Any], of: type) -> None:
    numbers, lists = (bool, int, float, Tensor), (list, tuple)
    for name, value in state.items():
        now = own.get(name)
        kinds = next((kinds for kinds in (numbers, lists) if isinstance(now, kinds)), type(now))
        hides = name not in own and callable(getattr(of, name, None))
        if hides or not (now is None or value is None or isinstance(value, kinds)):
            raise MisfitError(f"{name} of {of.__name__} is {value!r}")


@dataclass(eq=False)
class InOwnFolder(Callback):
    """Stop before the pictures of a validation go where only the name is the run folder's."""

    own: OwnFolder

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look; DataError if the folder was moved or removed."""
        self.own.check()


@dataclass(eq=False)
class SameJob(Callback):
    """Compare what the processes have read, as soon as they can talk to one another.

    Two processes with different settings would train together without any error: gradients of equal
    shape can always be averaged.
    """

    digest: Callable[[], str]  # returns a hash of configuration and folder of this process

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Compare; ConfigError in every process if there is a difference between any two."""
        if trainer.world_size == 1:
            return
        digests: list[str] = [""] * trainer.world_size
        dist.all_gather_object(digests, self.digest())
        others = [rank for rank, digest in enumerate(digests) if digest != digests[0]]
        if others:
            named = ", ".join(str(rank) for rank in others)
            raise ConfigError(
                "The processes of this run do not have the same configuration and folder: "
                f"{named} of {trainer.world_size} differ from process 0. Nothing was trained. "
                "Start the command again; all machines must see the same repository and disk."
            )
