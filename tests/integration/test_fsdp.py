"""Weights shared out between two processes: the result is that of one process."""

from pathlib import Path

import pytest

from src.weights.checkpoint_file import read
from tests.support.compare import LAST, assert_same, rows
from tests.support.runs import TINY, command, train_tiny

pytestmark = [pytest.mark.ddp, pytest.mark.slow]
SHARDED = ("trainer=fsdp", "trainer.accelerator=cpu", "trainer.precision=32-true")
TWO = (*SHARDED, "trainer.devices=2")
TOLERANCE = 1e-6


def test_two_processes_that_share_the_weights_out_end_with_those_of_one(
    tmp_path: Path,
) -> None:
    """Among the validated images one process has more than the other, which must not stop them."""
    train_tiny(tmp_path / "run", *TWO, "data.benchmarks.synthetic.count=3")
    train_tiny(tmp_path / "one", "data.benchmarks.synthetic.count=3")
    alone, together = (read(tmp_path / name / LAST)["state_dict"] for name in ("one", "run"))
    assert list(alone) == list(together)
    for name in alone:
        assert float((alone[name] - together[name]).abs().max()) <= TOLERANCE, name
    scores = [float(rows(tmp_path / name)[-1]["val/psnr"]) for name in ("one", "run")]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path) -> None:
    every = ("trainer.val_check_interval=2", *TWO)
    train_tiny(tmp_path / "two", *every, steps=2)
    done = command("train", f"resume={tmp_path / 'two'}", "trainer.max_steps=4")
    assert done.code == 0, done.err
    train_tiny(tmp_path / "four", *every, steps=4)
    assert_same(tmp_path / "two", tmp_path / "four")
    assert rows(tmp_path / "two") == rows(tmp_path / "four")


@pytest.mark.parametrize("words", [("compile=true",), ("callbacks=ema",)])
def test_what_needs_whole_weights_is_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    done = command("train", *TINY, *TWO, *words, f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code == 2
    assert "trainer=fsdp" in done.err
    assert "Traceback" not in done.err
