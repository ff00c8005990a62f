"""A training on several losses: each is logged, and what scores needs none of their files."""

import csv
from pathlib import Path

import pytest
import torch

from src.weights.checkpoint_file import read
from tests.support.runs import command, train_tiny
from tests.unit.losses.test_weighted_sum import vgg


@pytest.mark.long
def test_each_term_is_logged_before_its_weight(tmp_path: Path) -> None:
    train_tiny(tmp_path / "run", "loss=sum", "loss.terms.fft=0.5", steps=1)
    with (tmp_path / "run/metrics.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["train/loss"])
    terms = {name: float(row[f"train/loss/{name}"]) for name in ("l1", "fft")}
    assert float(row["train/loss"]) == pytest.approx(terms["l1"] + 0.5 * terms["fft"], rel=1e-5)
    assert "train/loss/tv" not in row


@pytest.mark.long
def test_a_run_with_a_perceptual_loss_is_scored_without_its_file(tmp_path: Path) -> None:
    file = tmp_path / "vgg19.pth"
    torch.save({f"features.{name}": each for name, each in vgg().state_dict().items()}, file)
    words = ("loss=sum", "loss.terms.perceptual=0.1", f"loss.perceptual_file={file}")
    train_tiny(tmp_path / "run", *words, steps=1)
    state = read(tmp_path / "run/checkpoints/last.ckpt")["state_dict"]
    assert not [name for name in state if name.startswith("loss")]
    file.unlink()
    scored = command("evaluate", f"checkpoint={tmp_path / 'run'}", f"output={tmp_path / 'scores'}")
    assert scored.code == 0, scored.err
    again = command("train", f"resume={tmp_path / 'run'}", "trainer.max_steps=2")
    assert again.code != 0
    assert "curl -LO" in again.err


@pytest.mark.long
def test_a_term_that_is_none_is_refused_with_the_nearest(tmp_path: Path) -> None:
    words = ("loss=sum", "+loss.terms.sssim=1", f"hydra.run.dir={tmp_path / 'run'}")
    done = command("train", *words)
    assert done.code != 0
    assert "no 'sssim'" in done.err
    assert "ssim" in done.err
