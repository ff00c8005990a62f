"""A CSV file of metrics that a kill, a full disk or a new column cannot spoil."""

import csv
import io
import math
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from src.core.errors import DataError
from src.core.files import name_aside, replacing

STEP = "step"

Row = dict[str, Any]


class MetricsFile:
    """Rows of metrics, appended; Lightning's CSV logger hands them over.

    A row is on disk after ``save``. When a column is new the file is written anew beside the old
    one and takes its place, so that at each moment one of them is there, whole.

    Args:
        path: The file; made with the first rows.

    Attributes:
        metrics: Rows that are not on disk yet.
        last_step: Of the rows that ``cut`` has kept; -1 for none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics: list[Row] = []
        self.last_step = -1
        self._columns: list[str] = []

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Take up a row; it is not on disk yet."""
        values = {
            key: value.item() if isinstance(value, Tensor) else value
            for key, value in metrics.items()
        }
        self.metrics.append({**values, STEP: step})

    def save(self) -> None:
        """Put all rows on disk.

        Raises:
            DataError: If the file is gone, or cannot be written.
        """
        if not self.metrics:
            return
        new = sorted({key for row in self.metrics for key in row} - set(self._columns))
        try:
            if new:
                self._rewrite([*self._columns, *new])
            else:
                self._append()
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
        self._columns = []
        self.metrics = []
        self.last_step = max((int(row[STEP]) for row in rows), default=-1)
        if rows:
            self._write_whole(columns, rows)
        else:
            self.path.unlink()
        return aside

    def _rewrite(self, columns: list[str]) -> None:
        columns = sorted(columns)
        old: list[Row] = []
        if self._columns:
            with self.path.open(newline="", encoding="utf-8") as file:
                old = list(csv.DictReader(file))
        elif not self.path.parent.is_dir():
            raise FileNotFoundError(0, "the folder is gone")
        self._write_whole(columns, [*old, *self.metrics])

    def _write_whole(self, columns: list[str], rows: list[Row]) -> None:
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
    place = columns.index(STEP)
    good = [line for line in lines[1:] if len(line) == len(columns) and line[place].isdecimal()]
    rows = [dict(zip(columns, line, strict=True)) for line in good if int(line[place]) < before]
    return columns, rows, len(good) < len(lines) - 1
