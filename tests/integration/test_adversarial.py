"""Adversarial training: steps of the network are counted, and resume and processes are exact."""

import csv
from pathlib import Path

import pytest
import torch

from src.weights.checkpoint_file import read
from tests.support.compare import assert_same, rows
from tests.support.runs import TINY, command, train_tiny, trained_weights

WORDS = ("loss=adversarial", "loss.adversarial.channels=4", "scheduler=multistep",
         "scheduler.milestones=[3]")  # fmt: skip


@pytest.mark.long
def test_only_steps_of_the_network_are_counted(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_tiny(run, *WORDS, "trainer.accumulate_grad_batches=2", steps=4)
    saved = read(run / "checkpoints/last.ckpt")
    assert saved["global_step"] == 4
    (optimizer,) = saved["optimizer_states"]
    assert {int(state["step"]) for state in optimizer["state"].values()} == {4}
    beside = saved["state_dict"]["loss.terms.adversarial._extra_state"]
    assert {int(state["step"]) for state in beside["state"].values()} == {4}
    with (run / "metrics.csv").open(newline="") as file:
        logged = [row for row in csv.DictReader(file) if row["train/loss"]]
    assert [int(row["step"]) for row in logged] == [0, 1, 2, 3]
    assert float(logged[2]["train/lr"]) == float(logged[0]["train/lr"])
    assert float(logged[3]["train/lr"]) < float(logged[0]["train/lr"])
    assert float(logged[1]["train/loss/discriminator"]) > 0


@pytest.mark.long
@pytest.mark.parametrize("kind", ["loss.adversarial.r1=1", "loss.adversarial.discriminator=patch"])
def test_a_run_goes_on_bit_for_bit(tmp_path: Path, kind: str) -> None:
    words = (*WORDS, kind, "trainer.val_check_interval=3")
    if kind.endswith("patch"):
        words += ("data.patch_size=32",)
    train_tiny(tmp_path / "cut", *words, steps=3)
    done = command("train", f"resume={tmp_path / 'cut'}", "trainer.max_steps=6")
    assert done.code == 0, done.err
    train_tiny(tmp_path / "whole", *words, steps=6)
    assert_same(tmp_path / "cut", tmp_path / "whole")
    one, other = (
        read(tmp_path / name / "checkpoints/last.ckpt")["state_dict"] for name in ("cut", "whole")
    )
    names = [
        name for name in one if name.startswith("loss.") and isinstance(one[name], torch.Tensor)
    ]
    assert len(names) > 10
    assert all(torch.equal(one[name], other[name]) for name in names)
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


@pytest.mark.slow
def test_two_processes_train_both_networks_as_one(tmp_path: Path) -> None:
    words = (*WORDS, "optimizer.lr=1e-4")
    one = trained_weights(tmp_path / "one", *TINY, *words, steps=2)
    tiny = [word for word in TINY if word != "trainer=cpu"]
    two = trained_weights(tmp_path / "two", *tiny, *words, "trainer=ddp_cpu", steps=2)
    for name, tensor in one.items():
        if isinstance(tensor, torch.Tensor):
            torch.testing.assert_close(two[name], tensor, rtol=0, atol=5e-5, msg=name)


@pytest.mark.long
def test_the_recipe_trains_and_is_scored(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("experiment=real_world/esrgan_small", "data=synthetic", "data.workers=0",
             "data.cache=off", "data.patch_size=32", "data.batch_size=2",
             "trainer.max_steps=2", "trainer.val_check_interval=2")  # fmt: skip
    done = command("train", *words, f"hydra.run.dir={run}")
    assert done.code == 0, done.err
    scored = command("evaluate", f"checkpoint={run}", f"output={tmp_path / 'scores'}", "device=cpu")
    assert scored.code == 0, scored.err
    again = command("train", f"resume={run}", "trainer.max_steps=3")
    assert again.code == 0, again.err


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("loss=sum", "loss.terms.adversarial=1"), "take loss=adversarial"),
        (("loss=adversarial", "loss.adversarial.discriminator=vgg"), "patch, unet"),
        (("loss=adversarial", "loss.adversarial.form=wgan"), "vanilla"),
        (("loss=adversarial", "loss.adversarial.r1=-1"), "at least 0"),
        (("loss=adversarial", "loss.adversarial.channels=0"), "1 or more"),
        (("loss=adversarial", "loss.adversarial.betas=[0.9]"), "two"),
        (
            ("loss=adversarial", "loss.adversarial.in_channels=1"),
            "in_channels=1: the images have 3",
        ),
        (("loss=adversarial", "data.patch_size=12"), "takes multiples of 8 pixels"),
        (
            ("loss=adversarial", "loss.adversarial.discriminator=patch", "data.patch_size=24"),
            "32 or more",
        ),
    ],
)
def test_what_cannot_be_is_refused(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = command("train", *TINY, *words, f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code != 0
    assert said in done.err


@pytest.mark.long
def test_a_run_keeps_its_discriminator_and_takes_another_rate_for_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_tiny(run, *WORDS, steps=1)
    before = (run / "config.yaml").read_bytes()
    for word in ("loss.adversarial.channels=8", "loss.terms.adversarial=0", "loss=l1"):
        done = command("train", f"resume={run}", "trainer.max_steps=2", word)
        assert done.code == 2, word
        assert "a resumed run keeps its discriminator" in done.err
        assert (run / "config.yaml").read_bytes() == before  # so that it can still go on
    done = command("train", f"resume={run}", "trainer.max_steps=2", "loss.adversarial.lr=3e-4")
    assert done.code == 0, done.err
    saved = read(run / "checkpoints/last.ckpt")["state_dict"]
    (group,) = saved["loss.terms.adversarial._extra_state"]["param_groups"]
    assert group["lr"] == 3e-4
