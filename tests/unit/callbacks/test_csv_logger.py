import csv
from pathlib import Path

import pytest

from src.callbacks.csv_logger import ResumableCSVLogger


def _logger(folder: Path) -> ResumableCSVLogger:
    return ResumableCSVLogger(folder, flush_logs_every_n_steps=1)


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_go_straight_into_the_folder(tmp_path: Path) -> None:
    _logger(tmp_path).log_metrics({"train/loss": 0.5}, step=0)
    assert _rows(tmp_path) == [{"step": "0", "train/loss": "0.5"}]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_a_new_column_rewrites_the_header_and_loses_no_row(tmp_path: Path) -> None:
    logger = _logger(tmp_path)
    logger.log_metrics({"train/loss": 0.5}, step=0)
    logger.log_metrics({"val/psnr": 30.0}, step=1)
    assert [row["val/psnr"] for row in _rows(tmp_path)] == ["", "30.0"]


# silenced by quiet_lightning, for the rows are kept
@pytest.mark.filterwarnings("ignore:Experiment logs directory")
def test_resuming_keeps_rows_before_the_step_and_drops_those_after(tmp_path: Path) -> None:
    first = _logger(tmp_path)
    for step in range(6):
        first.log_metrics({"train/loss": float(step)}, step=step)
    second = _logger(tmp_path)
    second.resume_at(4)
    second.log_metrics({"train/loss": 40.0}, step=4)
    assert [row["train/loss"] for row in _rows(tmp_path)] == ["0.0", "1.0", "2.0", "3.0", "40.0"]


def test_resuming_without_a_file_starts_one(tmp_path: Path) -> None:
    logger = _logger(tmp_path)
    logger.resume_at(4)
    logger.log_metrics({"train/loss": 1.0}, step=4)
    assert len(_rows(tmp_path)) == 1
