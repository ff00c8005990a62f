"""What a validation says in one line, and how a trial run keeps it short."""

import logging
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from src.training.callbacks.checkpoint import BestCheckpoint

logger = logging.getLogger(__name__)


class ValidationLine(Callback):
    """Say in one line what each validation gave: on the screen, in a file, and in ``train.log``.

    Step, scores, the best so far, learning rate and speed.
    """

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say it."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            _say(trainer)


@rank_zero_only
def _say(trainer: Trainer) -> None:
    values = {name: float(value) for name, value in trainer.callback_metrics.items()}
    sets = {name.rpartition("/")[0] for name in values if name.startswith("val/")} - {"val"}
    prefix = "val/" if len(sets) == 1 else tuple(f"{name}/" for name in sorted(sets))
    depth = 1 if len(sets) == 1 else 2
    parts = [
        f"{name} {value:.4f}"
        for name, value in values.items()
        if name.startswith(prefix) and name.count("/") == depth and not name.endswith("_input")
    ]
    watched = (one for one in trainer.checkpoint_callbacks if isinstance(one, BestCheckpoint))
    parts += [_best(one, values) for one in watched if one.monitor in values]
    if trainer.optimizers:
        parts.append(f"lr {trainer.optimizers[0].param_groups[0]['lr']:.3g}")
    if "perf/images_per_s" in values:
        parts.append(f"{values['perf/images_per_s']:.3g} images/s")
    step, steps = trainer.global_step, trainer.max_steps
    logger.info("step %d of %d: %s", step, steps, ", ".join(parts))


def _best(callback: Any, values: dict[str, float]) -> str:
    # Checkpoints are written after all other callbacks, so this score may not be in it yet.
    before, now = callback.best(), values[callback.monitor]
    known = [now] if before is None else [before, now]
    best = min(known) if callback.mode == "min" else max(known)
    return f"best {callback.monitor} {best:.4f}{' (this)' if best == now != before else ''}"


class MiddleOnly(Callback):
    """Validate the middle of each image only: for trial runs, whose scores mean nothing.

    Args:
        side: Height and width of the middle, in pixels of the target.
    """

    def __init__(self, side: int = 96) -> None:
        self.side = side

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Cut the batch."""
        for axis in (-2, -1):
            size = batch["target"].shape[axis]
            side = min(self.side, size)
            batch["target"] = batch["target"].narrow(axis, (size - side) // 2, side)
