"""What checkpoints carry beside Lightning's state, and what a run that goes on does with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from src.core.errors import ConfigError
from src.core.locks import OwnFolder
from src.core.redact import plain_without_passwords
from src.core.seeding import seed_from
from src.core.types import PlainConfig
from src.optim.groups import FACTOR
from src.training.callbacks.csv_logger import ResumableCSVLogger
from src.training.callbacks.sources import sources
from src.weights.checkpoint_file import FORMAT, KEY

RUN_IDS = "run_ids"
PENDING = "pending_row"
COMMON = ("base_lrs", "last_epoch", "_step_count", "_last_lr", "_is_initial")
"""What the state of every schedule has: its progress, no setting."""


@runtime_checkable
class Identified(Protocol):
    """A logger whose run has an identity elsewhere, e.g. ("wandb", "1b2c3d4e")."""

    @property
    def identity(self) -> tuple[str, str]:
        """Name of the logger and id of the run."""
        ...


@dataclass(eq=False)
class Provenance(Callback):
    """Make each checkpoint enough by itself: plain config, sources, identities of its runs.

    Args:
        config: The resolved config without any OmegaConf object.
    """

    config: PlainConfig

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the entry that ``src.weights.checkpoint`` reads.

        The name and id of each logger's run are in it: a resumed run whose folder has lost them
        goes on with these.
        """
        runs = dict(logger.identity for logger in trainer.loggers if isinstance(logger, Identified))
        config = plain_without_passwords(self.config)
        about = {"format": FORMAT, "config": config, **sources(trainer)}
        checkpoint[KEY] = {**about, RUN_IDS: runs}


class PendingRow(Callback):
    """Let a checkpoint carry the row of its own step, which Lightning logs after the checkpoint.

    A run that is killed in between, or that waits there for a process that is gone, would otherwise
    go on without that row.
    """

    _row: dict[str, float] | None = None

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the row, if the step that has just been done will be logged."""
        step = trainer.global_step
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        due = every > 0 and step % every == 0
        if not trainer.training or step == 0 or not due:
            return
        logged = trainer.logged_metrics.items()
        row = {name: float(value) for name, value in logged if not name.startswith("val/")}
        checkpoint[PENDING] = {**row, "epoch": trainer.current_epoch, "step": step - 1}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take up the row of the step that the run goes on from."""
        self._row = checkpoint.get(PENDING)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write it, unless it was written then."""
        for logger in trainer.loggers:
            if self._row is not None and isinstance(logger, ResumableCSVLogger):
                logger.add_missing(self._row)
        self._row = None


class RandomState(Callback):
    """Save and restore torch's global generators, which dropout and the like draw from.

    Patches and noise do not need this: they are functions of seed, step and rank. Each process has
    a state of its own; a checkpoint has all, one a row.
    """

    _restored: Mapping[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all processes as tensors, which weights-only loading accepts."""
        states = {"cpu": _of_all(torch.get_rng_state())}
        if torch.cuda.is_available():
            states["cuda"] = _of_all(torch.cuda.get_rng_state())
        return states

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts; building the network must not disturb them."""
        self._restored = state_dict

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the state of this process: the saved one, else one that no other process has."""
        rank = trainer.global_rank
        if "cpu" not in self._restored:
            if rank > 0:
                torch.random.manual_seed(seed_from("process", torch.initial_seed(), rank))
            return
        torch.set_rng_state(_row(self._restored["cpu"], rank))
        if "cuda" in self._restored and torch.cuda.is_available():
            torch.cuda.set_rng_state(_row(self._restored["cuda"], rank))


def _of_all(state: Tensor) -> Tensor:
    """Return the states of all processes, (processes, bytes)."""
    if not dist.is_initialized():
        return state[None]
    states: list[Tensor] = [state] * dist.get_world_size()
    dist.all_gather_object(states, state)
    return torch.stack(states)


def _row(states: Tensor, rank: int) -> Tensor:
    """Return the state of process ``rank``; where fewer were saved, theirs are used again."""
    # cloned: torch reads a state from the beginning of its storage, wherever the row begins
    return states[rank % len(states)].cpu().clone()


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
    """Stop before the pictures of a validation go where only the name is that of the run's folder.

    Args:
        own: The run folder.
    """

    own: OwnFolder

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look; DataError if the folder was moved or removed."""
        self.own.check()


@dataclass(eq=False)
class SameJob(Callback):
    """Compare what the processes have read, as soon as they can talk to one another.

    Two processes with different settings would train together without any error: gradients of equal
    shape can always be averaged.

    Args:
        digest: Returns a hash of configuration and folder as this process has them.
    """

    digest: Callable[[], str]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Compare.

        Raises:
            ConfigError: In every process, if there is a difference between any two.
        """
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
