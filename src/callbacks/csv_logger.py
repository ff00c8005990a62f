"""metrics.csv in the run folder, which a resumed run continues."""

import csv
from pathlib import Path

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import CSVLogger

METRICS = "metrics.csv"


class ResumableCSVLogger(CSVLogger):
    """Write ``metrics.csv`` straight into a folder and keep the rows that are there already.

    Lightning's own logger deletes the file of an earlier start in the same folder.

    Args:
        save_dir: The run folder.
        flush_logs_every_n_steps: Steps after which rows are on disk at the latest.
    """

    def __init__(self, save_dir: str | Path, *, flush_logs_every_n_steps: int = 50) -> None:
        super().__init__(
            str(save_dir), name="", version="", flush_logs_every_n_steps=flush_logs_every_n_steps
        )

    @rank_zero_only
    def resume_at(self, step: int) -> None:
        """Take up the rows of earlier starts up to ``step``; later ones will be written anew."""
        path = Path(self.save_dir) / METRICS
        if not path.is_file():
            return
        with path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if int(row["step"]) < step]
        writer = self.experiment  # made now: it deletes the file
        kept = [{key: value for key, value in row.items() if value != ""} for row in rows]
        writer.metrics = [{**row, "step": int(row["step"])} for row in kept]
        writer.save()
