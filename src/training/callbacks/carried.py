"""What checkpoints carry beside Lightning's state: config, sources, a row, the random state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from src.core.redact import plain_without_passwords
from src.core.seeding import seed_from
from src.core.types import PlainConfig
from src.training.callbacks.csv_logger import ResumableCSVLogger
from src.training.callbacks.sources import sources
from src.weights.checkpoint_file import FORMAT, KEY

RUN_IDS = "run_ids"
PENDING = "pending_row"


@runtime_checkable
class Identified(Protocol):
    """A logger whose run has an identity elsewhere, e.g. ("wandb", "1b2c3d4e")."""

    @property
    def identity(self) -> tuple[str, str]:
        """Name of the logger and id of the run."""
        ...


@dataclass(eq=False)
class Provenance(Callback):
    """Make each checkpoint enough by itself: plain config, sources, identities of its runs."""

    config: PlainConfig  # resolved

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
