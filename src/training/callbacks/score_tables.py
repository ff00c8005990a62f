"""The scores of every image after each validation, as a table in the loggers that show tables."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import lightning as L  # noqa: N812

from src.metrics.scoreboard import Scoreboard
from src.training.callbacks.media import Cell, media_loggers, media_step


@runtime_checkable
class Scored(Protocol):
    """A task that keeps the scores of its last validation.

    Attributes:
        scoreboards: Benchmark → scores, gathered from all processes.
    """

    scoreboards: dict[str, Scoreboard]


def score_rows(boards: Mapping[str, Scoreboard]) -> tuple[list[str], list[list[Cell]]]:
    """Return the columns and one row an image: each metric of the input, the output, the gain."""
    first = next(iter(boards.values()))
    metrics = list(next(iter(first.restored.values())))
    columns = ["benchmark", "image"]
    for metric in metrics:
        columns += [f"{metric}_input", metric, f"{metric}_gain"]
    rows: list[list[Cell]] = []
    for benchmark, board in boards.items():
        for key, after in board.restored.items():
            before = board.baseline[key]
            row: list[Cell] = [benchmark, key]
            for metric in metrics:
                row += [before[metric], after[metric], after[metric] - before[metric]]
            rows.append(row)
    return columns, rows


class ScoreTables(L.Callback):
    """Log the table ``val/scores`` at the end of each validation."""

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Hand the rows of all benchmarks to the loggers that show tables."""
        boards = pl_module.scoreboards if isinstance(pl_module, Scored) else {}
        if trainer.sanity_checking or not boards:
            return
        columns, rows = score_rows(boards)
        for logger in media_loggers(trainer):
            logger.log_scores("val/scores", columns, rows, step=media_step(trainer))
