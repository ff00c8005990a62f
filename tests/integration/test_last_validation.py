"""A run that ends has validated at its last step, once, wherever its interval falls."""

from pathlib import Path

import pytest
import torch

from src.training.callbacks.checkpoint import LAST
from src.weights.checkpoint_file import read
from tests.support.compare import rows
from tests.support.runs import TINY, command, train_tiny

SELDOM = ("trainer.val_check_interval=1000", "callbacks.checkpoint_last.every_n_steps=500")


def _validated(folder: Path) -> list[int]:
    return [int(row["step"]) + 1 for row in rows(folder) if row.get("val/psnr")]


@pytest.mark.long
def test_a_run_shorter_than_its_interval_has_a_score_a_best_state_and_metrics(
    tmp_path: Path,
) -> None:
    words = (*SELDOM, "trainer.log_every_n_steps=50")
    train_tiny(tmp_path / "run", *words, steps=3)
    assert _validated(tmp_path / "run") == [3]
    assert rows(tmp_path / "run")[-1]["val/psnr"]
    assert read(tmp_path / "run/checkpoints/best.ckpt")["global_step"] == 3
    assert read(tmp_path / "run/checkpoints" / LAST)["global_step"] == 3


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (("trainer.val_check_interval=2",), [2, 4]),
        (("trainer.val_check_interval=3",), [3, 4]),
        (("trainer.val_check_interval=4", "trainer.accumulate_grad_batches=2"), [2, 4]),
        (("callbacks=none", "trainer.val_check_interval=9", "~callbacks.checkpoint_last"), [4]),
    ],
    ids=["due at the end", "not due", "accumulated", "no callbacks"],
)
def test_the_last_step_is_validated_once(
    words: tuple[str, ...], steps: list[int], tmp_path: Path
) -> None:
    tiny = [w for w in TINY if not (w.startswith("callbacks.") and "callbacks=none" in words)]
    own = [w for w in words if w != "~callbacks.checkpoint_last"]
    run = f"hydra.run.dir={tmp_path}"
    done = command("train", *tiny, "trainer.max_steps=4", run, *own)
    assert done.code == 0, done.err
    assert _validated(tmp_path) == steps


@pytest.mark.long
def test_a_run_that_ended_between_two_intervals_goes_on_bit_by_bit(tmp_path: Path) -> None:
    every = "trainer.val_check_interval=4"
    short, long = tmp_path / "short", tmp_path / "long"
    train_tiny(short, every, steps=6)
    assert _validated(short) == [4, 6]
    done = command("train", f"resume={short}", "trainer.max_steps=9")
    assert done.code == 0, done.err
    train_tiny(long, every, steps=9)
    one, other = (read(folder / "checkpoints" / LAST)["state_dict"] for folder in (short, long))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert _validated(short) == [4, 6, 8, 9]
    losses = [[(row["step"], row["train/loss"]) for row in rows(f) if row["train/loss"]]
              for f in (short, long)]  # fmt: skip
    assert losses[0] == losses[1]


@pytest.mark.long
def test_another_interval_at_a_resume_moves_no_number(tmp_path: Path) -> None:
    train_tiny(tmp_path / "run", *SELDOM, steps=4)
    words = ("trainer.max_steps=6", "trainer.val_check_interval=2")
    done = command("train", f"resume={tmp_path / 'run'}", *words)
    assert done.code == 0, done.err
    steps = [int(row["step"]) for row in rows(tmp_path / "run") if row["train/loss"]]
    assert steps == list(range(6))
    assert _validated(tmp_path / "run") == [4, 6]
