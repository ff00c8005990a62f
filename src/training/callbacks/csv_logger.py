"""metrics.csv, which a resumed run continues and no kill, full disk or new column can spoil."""

import csv
import io
import logging
import math
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from src.core.errors import DataError
from src.core.files import name_aside, replacing
from src.core.locks import OwnFolder

METRICS = "metrics.csv"
STEP = "step"

Row = dict[str, Any]

csv.field_size_limit(2**31 - 1)  # zeros that a power cut has left are one field

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
    def experiment(self) -> "MetricsFile":
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
        step = int(values.pop(STEP))
        if step > self._file.last_step:
            self._file.log_metrics(values, step)
            self.save()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what remains."""
        self.save()


class MetricsFile:
    """Rows of metrics, appended; Lightning's CSV logger hands them over.

    A row is on disk after ``save``. When a column is new the file is written anew beside the old
    one and takes its place, so that at each moment one of them is there, whole.

    Args:
        path: The file; made with the first rows in a folder that is there.

    Attributes:
        metrics: Rows that are not on disk yet.
        last_step: Of the rows that ``cut`` has kept; -1 for none.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._own = path, OwnFolder(path.parent)
        self.metrics: list[Row] = []
        self.last_step = -1
        self._columns: list[str] = []

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Take up a row; it is not on disk yet."""
        values = {k: v.item() if isinstance(v, Tensor) else v for k, v in metrics.items()}
        self.metrics.append({**values, STEP: step})

    def save(self) -> None:
        """Put all rows on disk.

        Raises:
            DataError: If the file is gone or cannot be written, or the folder is another one.
        """
        if not self.metrics:
            return
        self._own.check()
        columns = sorted({*self._columns, *(key for row in self.metrics for key in row)})
        try:
            if columns == self._columns:
                self._append()
            else:
                self._write([*self._rows(), *self.metrics], columns)
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written: {error.strerror or error}. Make room or put the "
                "folder back, then go on from the last checkpoint: "
                f"python -m src.train resume={self.path.parent}"
            ) from error
        self.metrics = []

    def cut(self, step: int) -> Path | None:
        """Keep the rows before ``step``, as they will be when the run gets there again.

        Returns:
            Where a copy of the file as it was is kept, if a row before ``step`` was damaged.
        """
        if not self.path.is_file():
            return None
        columns, rows, damaged = _read(self.path, step)
        aside = name_aside(self.path) if damaged else None
        if aside is not None:
            shutil.copy2(self.path, aside)
        self.metrics, self._columns = [], []
        self.last_step = max((int(row[STEP]) for row in rows), default=-1)
        if rows:
            self._write(rows, columns)
        else:
            self.path.unlink()
        return aside

    def _rows(self) -> list[Row]:
        if self._columns:
            with self.path.open(newline="", encoding="utf-8") as file:
                return list(csv.DictReader(file))
        return []

    def _write(self, rows: list[Row], columns: list[str]) -> None:
        with replacing(self.path) as temporary:
            temporary.write_text(_text(columns, rows, header=True), encoding="utf-8", newline="")
        self._columns = columns

    def _append(self) -> None:
        # r+ and not a: a file that is gone must not be begun anew without its rows
        with self.path.open("r+", newline="", encoding="utf-8") as file:
            file.seek(0, os.SEEK_END)
            file.write(_text(self._columns, self.metrics, header=False))
            file.flush()
            os.fsync(file.fileno())


def last_value(path: Path, column: str) -> float:
    """Return the last number in ``column`` of a file of metrics; NaN where there is none."""
    if not path.is_file():
        return math.nan
    with path.open(newline="", encoding="utf-8") as file:
        values = [row[column] for row in csv.DictReader(file) if row.get(column)]
    return float(values[-1]) if values else math.nan


def _text(columns: list[str], rows: Iterable[Row], *, header: bool) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _read(path: Path, before: int) -> tuple[list[str], list[Row], bool]:
    """Return columns, the rows of steps below ``before``, and whether one may be among the damaged.

    A last line without an end is what a kill leaves of a row that was being written. Such a row
    belongs to a step that is done again, and is dropped without a word.
    """
    text = path.read_bytes().decode("utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]
    lines = list(csv.reader(io.StringIO(whole.replace("\0", "\ufffd"), newline="")))
    columns = lines[0] if lines else []
    if STEP not in columns:
        return [], [], bool(lines)
    column = columns.index(STEP)
    good = [line for line in lines[1:] if len(line) == len(columns) and line[column].isdecimal()]
    rows = [dict(zip(columns, line, strict=True)) for line in good if int(line[column]) < before]
    return columns, rows, len(good) < len(lines) - 1
