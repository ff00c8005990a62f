"""From which checkpoint a run goes on: the last, or the one before it where that is damaged."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from traceback import walk_tb

from omegaconf import DictConfig

from src.app.processes.user_errors import keep_traceback, shortage
from src.core.errors import CheckpointError, UntrustedError
from src.core.files import remove_leftovers
from src.training.callbacks.csv_logger import METRICS
from src.training.callbacks.going_on import MisfitError
from src.weights.checkpoint import open_checkpoint
from src.weights.checkpoint_file import BEST, LAST, PREVIOUS, check_whole, set_aside

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResumePoint:
    """Where a run goes on."""

    path: Path | None = None  # the checkpoint; None where the run begins at step 0
    step: int = 0  # optimizer steps done
    config: DictConfig | None = None  # what the checkpoint carries
    # Checkpoint file → what is wrong with it.
    damaged: Mapping[Path, str] = field(default_factory=dict)

    def clear_the_way(self, folder: Path) -> None:
        """Set damaged files of the run in ``folder`` aside, remove half-written ones, and say so.

        Nothing that a resumed run writes then takes the place of a file that somebody may want to
        look at or repair.
        """
        remove_leftovers(folder)
        for path, reason in self.damaged.items():
            logger.warning("%s It is kept as %s.", reason, set_aside(path).name)
        if self.path is None:
            logger.info("The run stopped before its first checkpoint; it begins at step 0.")
        elif self.path.name == PREVIOUS:
            logger.warning(
                "Going on from %s, step %d; the steps that came after it are done again.",
                *(self.path, self.step),
            )
        best = folder / "checkpoints" / BEST
        if best.is_file():
            _keep_if_whole(best)


_ODD = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

NEW = ResumePoint()
"""A run that begins."""


def find_point(folder: Path) -> ResumePoint:
    """Return where the run in ``folder`` goes on; nothing is changed.

    Raises:
        CheckpointError: If none of its checkpoints can be used, or they are gone.
    """
    checkpoints = folder / "checkpoints"
    damaged: dict[Path, str] = {}
    for path in (checkpoints / LAST, checkpoints / PREVIOUS):
        if not path.is_file():
            continue
        try:
            found = open_checkpoint(path)
        except UntrustedError:  # not damaged: it is to be looked at, not set aside
            raise
        except CheckpointError as error:
            damaged[path] = str(error)
        else:
            return ResumePoint(path, found.step, found.config, damaged)
    if damaged:
        raise CheckpointError(_none_left(folder, damaged))
    if (folder / METRICS).is_file():  # its first row is written after the first checkpoint
        raise CheckpointError(
            f"resume={folder}: there is no {LAST} or {PREVIOUS} in {checkpoints}, though the run "
            "has been trained. Put them back, or start a new run."
        )
    return NEW


@contextmanager
def taken_up(path: Path) -> Iterator[None]:
    """Say of a state that Lightning could not take up from a checkpoint that the file is at fault.

    Raises:
        CheckpointError: In place of what Lightning, torch or a callback met there.
    """
    try:
        yield
    except _ODD as error:
        calls = {
            frame.f_code.co_name
            for frame, _ in walk_tb(error.__traceback__)
            if frame.f_code.co_filename.endswith("checkpoint_connector.py")
        }
        restoring = any(name.lstrip("_").startswith(("resume", "restore")) for name in calls)
        restoring |= isinstance(error, MisfitError)
        if not restoring or shortage(error) is not None:
            raise
        reason = shorten(f"{type(error).__name__}: {error}", 300, placeholder=" …")
        raise CheckpointError(
            f"{path}: its state does not fit this run ({reason}). It was changed, or belongs to "
            f"another run; weights={path} begins a new one from its weights. "
            f"{keep_traceback(path.parents[1])}"
        ) from error


def _none_left(folder: Path, damaged: Mapping[Path, str]) -> str:
    best = folder / "checkpoints" / BEST
    advice = "Put back a copy, or start a new run"
    if best.is_file():
        advice += f"; weights={best} begins it from the best weights so far"
    return "\n  ".join(
        [f"resume={folder}: no checkpoint is left to go on from.", *damaged.values()]
    ) + (f"\n  {advice}.")


def _keep_if_whole(best: Path) -> None:
    try:
        check_whole(best)
    except CheckpointError as error:
        aside = set_aside(best)
        logger.warning(
            "%s It is kept as %s; the next validation makes a new one.", error, aside.name
        )
