"""Each switch that makes training faster or better keeps resume bit-exact and does what it says."""

from pathlib import Path

import pytest
import torch

from src.weights.checkpoint import open_checkpoint
from src.weights.checkpoint_file import BEST, LAST, read
from tests.support.compare import assert_same, rows
from tests.support.runs import TINY, command, process, train_tiny

SWITCHES = {
    "average": ("callbacks=ema",),
    "clipped": ("trainer.gradient_clip_val=0.1",),
    "bf16": ("trainer=cpu_bf16",),
    "channels last": ("channels_last=true",),
    "recomputed": ("recompute=true",),
    "progressive": ("data.progressive=[[2,32,2],[3,24,6]]",),
    "warm-up and cosine": ("scheduler=warmup_cosine", "scheduler.warmup_steps=3"),
    "warm-up and milestones": (
        *("scheduler=multistep", "scheduler.milestones=[3]", "scheduler.warmup_steps=2"),
    ),
    "no cache, one worker, deep queue": ("data.cache=off", "data.workers=1", "data.prefetch=4"),
}
TOGETHER = (
    *("callbacks=ema", "trainer=cpu_bf16", "trainer.accumulate_grad_batches=2"),
    *("trainer.gradient_clip_val=0.1", "channels_last=true", "recompute=true"),
    *("data.progressive=[[2,32,2],[3,24,6]]", "scheduler=warmup_cosine"),
    *("scheduler.warmup_steps=3", "optimizer=adamw", "model/attention=none"),
)
FIXED_END = "scheduler.total_steps=4"


def _train(folder: Path, *words: str, steps: int) -> Path:
    end = (FIXED_END,) if "scheduler=warmup_cosine" in words else ()
    train_tiny(folder, "trainer.val_check_interval=2", *words, *end, steps=steps)
    return folder


def _assert_two_and_two_are_four(tmp_path: Path, words: tuple[str, ...]) -> None:
    two = _train(tmp_path / "two", *words, steps=2)
    done = command("train", f"resume={two}", "trainer.max_steps=4")
    assert done.code == 0, done.err
    four = _train(tmp_path / "four", *words, steps=4)
    assert_same(two, four)
    assert rows(two) == rows(four)


@pytest.mark.long
def test_all_switches_together_resume_exactly(tmp_path: Path) -> None:
    _assert_two_and_two_are_four(tmp_path, TOGETHER)


@pytest.mark.slow
@pytest.mark.parametrize("words", SWITCHES.values(), ids=SWITCHES)
def test_each_switch_resumes_exactly(words: tuple[str, ...], tmp_path: Path) -> None:
    _assert_two_and_two_are_four(tmp_path, words)


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of two steps with a moving average."""
    return _train(tmp_path_factory.mktemp("averaged") / "run", "callbacks=ema", steps=2)


@pytest.mark.long
def test_what_is_saved_and_loaded_is_the_average(averaged: Path) -> None:
    held = read(averaged / "checkpoints" / LAST)
    average, weights = held["state_dict"], held["current_model_state"]
    names = [name for name in average if name.endswith("head.weight")]
    assert all(not torch.equal(average[name], weights[name]) for name in names)
    loaded = open_checkpoint(averaged).weights
    assert all(torch.equal(loaded[name.removeprefix("net.")], average[name]) for name in names)


@pytest.mark.long
def test_what_is_scored_is_the_average(averaged: Path, tmp_path: Path) -> None:
    """Evaluate, which knows only the saved weights, gives the score that training logged."""
    logged = [row["val/psnr"] for row in rows(averaged) if row["val/psnr"]]
    best = averaged / "checkpoints" / BEST
    words = (f"checkpoint={best}", f"output={tmp_path}", "device=cpu", "images=false")
    done = command("evaluate", *words)
    assert done.code == 0, done.err
    assert f"{float(logged[-1]):.2f}" in done.out


@pytest.mark.long
def test_an_average_is_not_dropped_silently(averaged: Path) -> None:
    done = command("train", f"resume={averaged}", "~callbacks.ema", "trainer.max_steps=4")
    assert done.code != 0
    assert "Resume it with callbacks=ema" in done.err
    assert read(averaged / "checkpoints" / LAST)["global_step"] == 2


@pytest.mark.long
def test_an_average_can_begin_at_a_resume(tmp_path: Path) -> None:
    folder = _train(tmp_path / "run", steps=2)
    done = command("train", f"resume={folder}", "callbacks=ema", "trainer.max_steps=4")
    assert done.code == 0, done.err
    held = read(folder / "checkpoints" / LAST)
    assert int(held["averaging_state"]["n_averaged"]) == 2


@pytest.mark.long
def test_a_later_patch_that_does_not_fit_is_refused_before_the_first_step(tmp_path: Path) -> None:
    words = ("trainer.max_steps=4", "data.progressive=[[3,15,4]]", f"hydra.run.dir={tmp_path}/run")
    done = command("train", *TINY, *words)
    assert done.code != 0
    assert "data.patch_size=15: PANet takes multiples of 2" in done.err
    assert not (tmp_path / "run/checkpoints").exists()


@pytest.mark.slow
def test_a_format_in_which_compiled_gradients_are_wrong_is_refused(tmp_path: Path) -> None:
    words = ("compile=true", "channels_last=true", f"hydra.run.dir={tmp_path}/run")
    running = process("train", *TINY, *words)
    said = running.communicate()[1]
    assert running.returncode == 2, said
    assert "Leave one of the two out" in said


MOMENTUM = (
    "optimizer._target_=torch.optim.SGD",
    "optimizer.lr=0.01",
    "+optimizer.momentum=0.9",
    "~optimizer.betas",
    "~optimizer.eps",
)
"""Unlike Adam, this makes no whole steps of gradients that are next to zero but for rounding."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_compiled_run_resumes_exactly_and_its_weights_load_without_compiling(
    tmp_path: Path,
) -> None:
    def train(*words: str) -> None:
        running = process("train", *words)
        said = running.communicate()[1]
        assert running.returncode == 0, said

    def length(steps: int) -> tuple[str, ...]:
        times = f"trainer.max_steps={steps}", "trainer.val_check_interval=2"
        return (*times, *MOMENTUM, "compile=true")

    two, four, plain = (tmp_path / name for name in ("two", "four", "plain"))
    train(*TINY, *length(2), f"hydra.run.dir={two}")
    train(f"resume={two}", "trainer.max_steps=4")
    train(*TINY, *length(4), f"hydra.run.dir={four}")
    assert_same(two, four)
    _train(plain, *MOMENTUM, steps=4)
    compiled, eager = (read(path / "checkpoints" / LAST)["state_dict"] for path in (four, plain))
    assert list(compiled) == list(eager)
    assert all(torch.allclose(compiled[name], eager[name], atol=1e-5) for name in eager)
    _train(tmp_path / "new", f"weights={four}", steps=1)


@pytest.mark.long
def test_the_loss_of_an_accumulated_step_is_the_mean_of_its_parts(tmp_path: Path) -> None:
    whole = _train(tmp_path / "whole", steps=2)
    parts = _train(tmp_path / "parts", "trainer.accumulate_grad_batches=2", steps=2)
    losses = [[float(row["train/loss"]) for row in rows(run) if row.get("train/loss")]
              for run in (whole, parts)]  # fmt: skip
    assert losses[0]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
