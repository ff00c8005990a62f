"""TensorBoard beside metrics.csv: event files in the run folder."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray

from src.core.errors import need
from src.core.types import PlainConfig
from src.training.callbacks.pictures import Cell
from src.training.loggers.lifecycle import Facts


class TensorBoardRun(TensorBoardLogger):
    """Write ``<run folder>/tensorboard``; ``tensorboard --logdir outputs`` shows all runs.

    Args:
        save_dir: The run folder.

    Raises:
        ConfigError: If the package is not installed.
    """

    def __init__(self, save_dir: str | Path) -> None:
        need("tensorboard", extra="tensorboard", asked="logger=tensorboard")
        super().__init__(str(save_dir), name="", version="tensorboard", default_hp_metric=False)

    @rank_zero_only
    def begin(self, config: PlainConfig, facts: Facts) -> None:
        """Show ``facts`` and the whole config as text."""
        self.experiment.add_text("facts", _table(["fact", "value"], list(facts.items())))
        text = json.dumps(config, indent=2, default=str)
        self.experiment.add_text("config", f"```json\n{text}\n```")

    @rank_zero_only
    def end(self, *, failed: bool) -> None:
        """Close the event file; TensorBoard knows no failed runs."""
        self.experiment.close()

    @rank_zero_only
    def log_picture(self, key: str, picture: NDArray[np.uint8], *, caption: str, step: int) -> None:
        """Show an (H, W, 3) picture under ``key``, with its caption in the title."""
        self.experiment.add_image(f"{key}: {caption}", picture, step, dataformats="HWC")

    @rank_zero_only
    def log_scores(
        self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, step: int
    ) -> None:
        """Show a table of scores under ``key``, as text."""
        self.experiment.add_text(key, _table(columns, rows), step)


def _table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a Markdown table; numbers have four decimals."""
    lines = [columns, ["---"] * len(columns)]
    lines += [[f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in r] for r in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
