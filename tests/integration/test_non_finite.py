"""A network that overflows in training: where it stops, what it says, what is left."""

from pathlib import Path

import pytest
import torch

from src.weights.checkpoint_file import read
from tests.support.runs import TINY, command, train_tiny

LAYER = "head"


def _overflowing(folder: Path, *words: str) -> str:
    breaker = f"{{_target_: tools.breaking.OverflowAt, step: 2, layer: {LAYER}}}"
    length = ("trainer.max_steps=5", "trainer.val_check_interval=5")
    given = (f"hydra.run.dir={folder}", f"+callbacks.breaker={breaker}", *words)
    done = command("train", *TINY, *length, *given)
    assert done.code == 1
    assert "Traceback" not in done.err
    return done.err


@pytest.mark.long
@pytest.mark.parametrize("loss", ["l1", "l2"])
def test_an_overflow_stops_with_module_step_and_advice(tmp_path: Path, loss: str) -> None:
    said = _overflowing(tmp_path / "run", f"loss={loss}")
    assert "Step 3: the loss or a gradient is NaN or infinite" in said
    assert f"First at fault: the output of net.{LAYER} (" in said
    assert "optimizer.lr" in said
    assert "gradient_clip_val" in said


@pytest.mark.long
def test_the_last_checkpoint_is_the_last_good_state_and_can_be_resumed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    _overflowing(run)
    held = read(run / "checkpoints/last.ckpt")
    assert held["global_step"] == 2
    assert all(torch.isfinite(tensor).all() for tensor in held["state_dict"].values())
    train_tiny(tmp_path / "good", steps=2)
    good = read(tmp_path / "good/checkpoints/last.ckpt")["state_dict"]
    assert all(torch.equal(tensor, good[name]) for name, tensor in held["state_dict"].items())


@pytest.mark.long
def test_without_the_guard_the_bad_state_is_saved(tmp_path: Path) -> None:
    """What the guard is for; if this stops being so, the tests above prove nothing."""
    run = tmp_path / "run"
    breaker = f"{{_target_: tools.breaking.OverflowAt, step: 2, layer: {LAYER}}}"
    words = ("~callbacks.non_finite_guard", "trainer.limit_val_batches=0")
    train_tiny(run, f"+callbacks.breaker={breaker}", *words, steps=4)
    weights = read(run / "checkpoints/last.ckpt")["state_dict"]
    assert not all(torch.isfinite(tensor).all() for tensor in weights.values())
