"""When checkpoints are written, the last state regularly and the best by a score, and how.

They are written whole or not at all. The last one and the one before it are kept: a damaged file
costs an interval, not the run.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.plugins.io import CheckpointIO
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from torch import Tensor

from src.core.errors import CheckpointError
from src.core.files import replacing
from src.core.locks import OwnFolder
from src.metrics.direction import Mode, monitor_mode
from src.training.callbacks.stopping import validation_follows
from src.weights.checkpoint_file import BEST, LAST, PREVIOUS, read


class LastCheckpoint(Checkpoint):
    """Keep ``last.ckpt`` up to date: every N steps, after validation, and when training stops.

    A new run also begins with one: whatever happens later, there is something to go on from, and a
    disk that cannot take a checkpoint is found out before hours of training.

    Args:
        dirpath: Folder of the checkpoints.
        every_n_steps: Optimizer steps between two writes.
    """

    def __init__(self, dirpath: str | Path, *, every_n_steps: int = 500) -> None:
        self.path = Path(dirpath) / LAST
        self.every_n_steps = every_n_steps
        self._saved_step = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what a new run begins with."""
        if trainer.ckpt_path is None:
            self._save(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when the step is due, the last one, or one after which training stops.

        Where a validation follows, its end saves: a run that goes on from a state before it would
        leave it out.
        """
        step = trainer.global_step
        if step == self._saved_step or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        if validation_follows(trainer, batch_idx):
            return
        if step % self.every_n_steps == 0 or step >= trainer.max_steps or trainer.should_stop:
            self._save(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after a validation, so that a resumed run does not repeat it."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        self._saved_step = trainer.global_step
        for logger in trainer.loggers:
            logger.save()  # else a killed run would lose rows that no resumed run writes again
        trainer.save_checkpoint(self.path)


class BestCheckpoint(ModelCheckpoint):
    """Keep ``best.ckpt``, the state with the best validation score so far.

    Args:
        dirpath: Folder of the checkpoints.
        monitor: A logged score, e.g. ``val/psnr``.
        mode: Whether more (``max``) or less (``min``) is better; None: as the metric says.
    """

    def __init__(
        self, dirpath: str | Path, *, monitor: str = "val/psnr", mode: Mode | None = None
    ) -> None:
        self._stated = mode
        super().__init__(
            dirpath=dirpath,
            filename=Path(BEST).stem,
            monitor=monitor,
            mode=mode or "max",  # until setup, where the metrics can be asked
            save_top_k=1,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Ask which scores are better; ConfigError if nothing says so."""
        super().setup(trainer, pl_module, stage)
        evaluator = getattr(pl_module, "evaluator", None)
        asked = {"monitor": self.monitor, "metrics": getattr(evaluator, "metrics", {})}
        self.mode = monitor_mode({**asked, "monitor_mode": self._stated})
        self.kth_value = torch.tensor(torch.inf if self.mode == "min" else -torch.inf)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the best score, its file being where the run folder is now.

        A score whose file is gone is forgotten, so that the next validation makes a new one.
        """

        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        if not Path(here(state_dict["best_model_path"])).is_file():
            return
        scores = {here(path): score for path, score in state_dict["best_k_models"].items()}
        names = ("best_model_path", "kth_best_model_path", "last_model_path")
        paths = {name: here(state_dict[name]) for name in names}
        moved = {"dirpath": self.dirpath, "best_k_models": scores, **paths}
        super().load_state_dict({**state_dict, **moved})

    def best(self) -> float | None:
        """Return the best score so far, or None before the first validation."""
        score: Tensor | None = self.best_model_score
        return None if score is None else float(score)


@dataclass(eq=False)
class AtomicCheckpointIO(CheckpointIO):
    """Write to a temporary file beside the target, flush it to disk, then rename it over."""

    own: OwnFolder | None = None  # the run folder that all targets are in; None writes anywhere

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write ``checkpoint``; an earlier file of that name is intact until the new one is whole.

        What ``last.ckpt`` was before is ``previous.ckpt`` afterwards.

        Raises:
            CheckpointError: If the disk is full, or the folder cannot be written.
            DataError: If the run folder was moved or removed.
        """
        target = Path(path)
        if self.own is not None:
            self.own.check()
        try:
            with replacing(target) as temporary:
                with temporary.open("wb") as file:
                    torch.save(checkpoint, file)
                if target.name == LAST:
                    keep_previous(target)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            if "DataLoader worker" in str(error):  # raised wherever the process is just then
                raise
            if self.own is not None:
                self.own.check()  # it may have gone meanwhile
            reason = getattr(error, "strerror", None) or str(error)
            raise CheckpointError(
                f"{target} cannot be written: {reason}. Make room or set paths.output_root to "
                "another disk; the previous checkpoint is untouched."
            ) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a checkpoint; ``weights_only`` is always true."""
        return read(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint that is no longer wanted."""
        Path(path).unlink(missing_ok=True)


def keep_previous(last: Path) -> None:
    """Let ``previous.ckpt`` be what ``last`` is now; call it just before ``last`` is replaced.

    A second name for the same file, so that it costs neither time nor, until ``last`` is replaced,
    space; at each moment ``last`` or both are whole. Where a file system has no second names,
    ``last`` is renamed, and for a moment only ``previous.ckpt`` is there.
    """
    if not last.is_file():
        return  # damaged and set aside, or the first one: what is there stays
    previous = last.with_name(PREVIOUS)
    name = last.with_name(f".{previous.stem}.{secrets.token_hex(8)}.tmp{previous.suffix}")
    try:
        os.link(last, name)
    except OSError:
        last.replace(previous)
    else:
        name.replace(previous)
