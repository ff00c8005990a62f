"""Trainings on a GPU: every task, resumed to the bit, NCCL, compiled, and scored as on the CPU."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.support.compare import assert_same, rows
from tests.support.gpu import needs_gpu
from tests.support.images import write_folder
from tests.support.runs import TINY, command, process, train_tiny

pytestmark = needs_gpu


@pytest.fixture(autouse=True)
def _as_a_fresh_process() -> Iterator[None]:
    """Undo what a training in this process has set for all of torch."""
    yield
    torch.use_deterministic_algorithms(mode=False)


ON_GPU = ("trainer=gpu", "trainer.precision=32-true", "trainer.deterministic=true")
"""What repeats to the bit on a card."""


@pytest.mark.parametrize(
    "task",
    ["denoise", "super_resolution", "demosaic", "dejpeg_colour", "denoise_grey", "dejpeg"],
)
def test_a_task_trains_in_bf16_and_scores(task: str, tmp_path: Path) -> None:
    train_tiny(tmp_path / "run", f"task={task}", "trainer=gpu")
    last = rows(tmp_path / "run")[-1]
    assert float(last["val/psnr"]) > 0


def test_five_steps_and_five_resumed_equal_ten(tmp_path: Path) -> None:
    """The attention is pyramid's, in whatever form ``auto`` takes on a card."""
    five, ten = tmp_path / "five", tmp_path / "ten"
    each = (*ON_GPU, "trainer.val_check_interval=5")
    train_tiny(five, *each, steps=5)
    done = command("train", f"resume={five}", "trainer.max_steps=10")
    assert done.code == 0, done.err
    train_tiny(ten, *each, steps=10)
    assert_same(five, ten)
    assert rows(five) == rows(ten)


def test_a_card_learns_what_the_processor_learns(tmp_path: Path) -> None:
    """The same samples and weights, and no noise, which each device draws for itself."""
    for name, words in (("gpu", ON_GPU), ("cpu", ())):
        train_tiny(tmp_path / name, "task=super_resolution", *words, steps=5)
    ours, right = (
        [float(row["train/loss"]) for row in rows(tmp_path / name) if row["train/loss"]]
        for name in ("gpu", "cpu")
    )
    assert ours == pytest.approx(right, rel=2e-3)


def test_nccl_with_one_process_ends_as_one_process_without(tmp_path: Path) -> None:
    each = ("trainer.precision=32-true", "trainer.deterministic=true")
    train_tiny(tmp_path / "alone", "trainer=gpu", *each)
    train_tiny(tmp_path / "nccl", "trainer=ddp", "trainer.devices=1", *each)
    alone, nccl = rows(tmp_path / "alone"), rows(tmp_path / "nccl")
    assert [row["train/loss"] for row in nccl] == [row["train/loss"] for row in alone]


def test_fsdp_with_one_process_trains(tmp_path: Path) -> None:
    train_tiny(tmp_path / "run", "trainer=fsdp", "trainer.devices=1")
    assert float(rows(tmp_path / "run")[-1]["val/psnr"]) > 0


def test_a_compiled_network_trains(tmp_path: Path) -> None:
    """In a process of its own: torch cannot compile what beartype has wrapped for tests."""
    length = ("trainer.max_steps=2", "trainer.val_check_interval=2")
    folder = tmp_path / "run"
    words = (*TINY, *length, "trainer=gpu", "compile=true", f"hydra.run.dir={folder}")
    training = process("train", *words)
    _, said = training.communicate(timeout=180)
    assert training.returncode == 0, said
    assert float(rows(folder)[-1]["val/psnr"]) > 0


def test_batch_sizes_can_be_kept_on_the_card_by_loader_processes(tmp_path: Path) -> None:
    """Pinned memory and two loader processes give the samples that none give."""
    for workers in (0, 2):
        train_tiny(tmp_path / f"{workers}", *ON_GPU, f"data.workers={workers}", steps=4)
    assert_same(tmp_path / "0", tmp_path / "2")


@pytest.mark.parametrize("memory", ["auto", "whole"])
def test_evaluation_scores_as_on_the_processor(memory: str, tmp_path: Path) -> None:
    train_tiny(tmp_path / "run")
    write_folder(tmp_path / "images", 2, height=72, width=60)
    scores = []
    for device in ("cpu", "cuda"):
        words = (
            "data=folder",
            f"data.val_dir={tmp_path / 'images'}",
            "images=false",
            f"device={device}",
        )
        tiles = ("inference.tile=null",) if memory == "whole" else ()
        output = tmp_path / f"{device}_{memory}"
        done = command(
            "evaluate", f"checkpoint={tmp_path / 'run'}", *words, *tiles, f"output={output}"
        )
        assert done.code == 0, done.err
        scores.append(_psnr(output))
    assert scores[1] == pytest.approx(scores[0], abs=2e-3)


def _psnr(folder: Path) -> float:
    (record,) = folder.rglob("results.json")
    mean = json.loads(record.read_text())["benchmarks"]["images"]["mean"]
    return float(mean["psnr"])
