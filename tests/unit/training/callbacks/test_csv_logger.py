import csv
from pathlib import Path

import pytest

from src.core.errors import DataError
from src.training.callbacks.csv_logger import ResumableCSVLogger


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


def test_a_new_column_never_leaves_the_file_without_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full while the file is written anew: the old one is still there, whole."""
    logger = _logger(tmp_path)
    logger.log_metrics({"train/loss": 0.5}, step=0)

    def full(path: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(DataError, match=r"metrics\.csv cannot be written: No space left"):
        logger.log_metrics({"val/psnr": 30.0}, step=1)
    assert _rows(tmp_path) == [{"step": "0", "train/loss": "0.5"}]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_a_file_that_is_gone_is_not_begun_anew_without_its_rows(tmp_path: Path) -> None:
    logger = _logger(tmp_path)
    logger.log_metrics({"train/loss": 0.5}, step=0)
    (tmp_path / "metrics.csv").unlink()
    with pytest.raises(DataError, match=r"cannot be written: No such file.*resume="):
        logger.log_metrics({"train/loss": 0.4}, step=1)


@pytest.mark.parametrize("torn", ["1", "14,0.", "4,0.25\r"])
def test_a_row_that_a_kill_has_torn_is_dropped(tmp_path: Path, torn: str) -> None:
    logger = _logger(tmp_path)
    for step in range(4):
        logger.log_metrics({"train/loss": 0.5}, step=step)
    with (tmp_path / "metrics.csv").open("a", newline="") as file:
        file.write(torn)
    _logger(tmp_path).resume_at(9)
    assert [row["step"] for row in _rows(tmp_path)] == ["0", "1", "2", "3"]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


@pytest.mark.parametrize("damage", [b"\0\0\0\r\n", b"x,0.5\r\n", b"3\r\n", b"\xff\xfe,1\r\n"])
def test_of_a_damaged_file_the_good_rows_and_a_copy_are_kept(tmp_path: Path, damage: bytes) -> None:
    logger = _logger(tmp_path)
    for step in range(4):
        logger.log_metrics({"train/loss": 0.5}, step=step)
    path = tmp_path / "metrics.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    spoilt = b"".join([*lines[:2], damage, *lines[2:]])
    path.write_bytes(spoilt)
    _logger(tmp_path).resume_at(9)
    assert [row["step"] for row in _rows(tmp_path)] == ["0", "1", "2", "3"]
    assert (tmp_path / "metrics.damaged.csv").read_bytes() == spoilt


def test_a_block_of_zeros_is_damage_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_bytes(b"step,loss\n0,1.0\n" + b"\0" * 200_000 + b"\n")
    _logger(tmp_path).resume_at(5)
    assert _rows(tmp_path) == [{"step": "0", "loss": "1.0"}]
