"""What a training says where its output is no terminal."""

from pathlib import Path

import pytest

from tests.support.runs import train_tiny

QUIET = "src.training.callbacks.progress.PATIENCE_S"


def _log(folder: Path) -> str:
    train_tiny(folder, "task=denoise", steps=40)
    return (folder / "train.log").read_text()


@pytest.mark.long
def test_lines_are_written_at_even_steps(tmp_path: Path) -> None:
    said = _log(tmp_path)
    assert [f"step {step} of 40, 0:00:" in said for step in (1, 2, 3)] == [False, True, False]
    assert "images validated" not in said


@pytest.mark.long
def test_what_takes_long_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QUIET, 0.0)
    said = _log(tmp_path)
    assert [f"step {step} of 40, " in said for step in (1, 2, 3)] == [True, True, True]
    images = said.count("images validated")
    assert images > 1
    assert f"step 40: 1 of {images} images validated" in said
    assert f"step 40: {images} of {images} images validated" in said
