"""metrics.csv in the run folder, which a resumed run continues."""

import logging
from collections.abc import Mapping
from pathlib import Path

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import CSVLogger

from src.training.callbacks.metrics_file import MetricsFile

METRICS = "metrics.csv"

logger = logging.getLogger(__name__)


class ResumableCSVLogger(CSVLogger):
    """Write ``metrics.csv`` straight into a folder and keep the rows that are there already.

    Lightning's own logger deletes the file of an earlier start in the same folder, and rewrites it
    in place when a metric is new, so that a kill in between loses rows.

    Args:
        save_dir: The run folder.
        flush_logs_every_n_steps: Steps after which rows are on disk at the latest.
    """

    def __init__(self, save_dir: str | Path, *, flush_logs_every_n_steps: int = 50) -> None:
        super().__init__(
            str(save_dir), name="", version="", flush_logs_every_n_steps=flush_logs_every_n_steps
        )
        self._file = MetricsFile(Path(save_dir) / METRICS)

    @property
    @rank_zero_experiment
    def experiment(self) -> MetricsFile:
        """The file of process 0; the other processes write nothing."""
        return self._file

    @rank_zero_only
    def resume_at(self, step: int) -> None:
        """Take up the rows of earlier starts up to ``step``; later ones will be written anew."""
        file = self._file
        if step and not file.path.is_file():
            logger.warning("%s is gone; it begins anew at step %d.", file.path, step)
        aside = file.cut(step)
        if aside is not None:
            logger.warning(
                "%s was damaged: the rows that could be read are kept, and the file as it was is "
                "%s.",
                *(file.path, aside.name),
            )

    @rank_zero_only
    def add_missing(self, row: Mapping[str, float]) -> None:
        """Write a row, with its ``step``, if it comes after all that are there."""
        values = dict(row)
        step = int(values.pop("step"))
        if step > self._file.last_step:
            self._file.log_metrics(values, step)
            self.save()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left."""
        self.save()
