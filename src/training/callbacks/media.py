"""What a logger can show beside numbers, and which loggers of a trainer can."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import lightning as L  # noqa: N812
import numpy as np
from numpy.typing import NDArray

Cell = str | int | float


@runtime_checkable
class MediaLogger(Protocol):
    """A logger with a place for pictures and tables, such as those of ``src/training/loggers``.

    A logger from elsewhere that has these two methods is given media too.
    """

    def log_picture(self, key: str, picture: NDArray[np.uint8], *, caption: str, step: int) -> None:
        """Show an (H, W, 3) picture under ``key``."""
        ...

    def log_scores(
        self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, step: int
    ) -> None:
        """Show a table of scores under ``key``."""
        ...


def media_loggers(trainer: L.Trainer) -> Iterator[MediaLogger]:
    """Yield the loggers of ``trainer`` that take pictures and tables."""
    for logger in trainer.loggers:
        if isinstance(logger, MediaLogger):
            yield logger


def media_step(trainer: L.Trainer) -> int:
    """Return the step under which Lightning logs the scores of a validation that runs now.

    It counts from 0: what the first step has led to is logged under 0.
    """
    return max(0, trainer.global_step - 1)
