from pathlib import Path

import pytest

from src.weights.checkpoint_file import read
from tests.support.compare import LAST, assert_same, rows
from tests.support.runs import TINY, command, train_tiny

RARE = ("trainer.val_check_interval=100000",)


@pytest.mark.long
def test_when_the_time_is_up_all_is_saved_and_the_next_start_has_all_of_it(tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    limit = ("trainer.max_steps=100000", "trainer.max_time=00:00:00:01")
    done = command("train", *TINY, *RARE, *limit, f"hydra.run.dir={run}")
    assert done.code == 0, done.err
    step = read(run / LAST)["global_step"]
    assert step > 0
    assert f"Stopped after step {step}; everything is saved" in done.err
    done = command("train", f"resume={run}", f"trainer.max_steps={step + 2}")
    assert done.code == 0, done.err
    train_tiny(other, *RARE, steps=step + 2)
    assert_same(run, other)
    assert rows(run) == rows(other)
