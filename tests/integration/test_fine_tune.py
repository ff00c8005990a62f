"""A training begins with the weights of any network, or what fits of them; parts stay fixed."""

import csv
import json
import re
from pathlib import Path

import pytest
import torch

from src.models.backbones.dncnn import DnCNN
from src.models.backbones.edsr import EDSR
from src.weights.checkpoint import open_checkpoint
from src.weights.checkpoint_file import read
from src.weights.network_file import write_network
from tests.support.images import write_folder
from tests.support.runs import TINY, command, train_tiny

PUBLISHED = Path(__file__).parents[3] / "shared/data/weights"
OWN = tuple(word for word in TINY if not word.startswith("model"))
"""As TINY, with no network chosen."""


def _tune(folder: Path, *words: str, rate: str = "0") -> Path:
    """Train one step without changing anything, so that the first score is that of the weights."""
    length = ("trainer.max_steps=1", "trainer.val_check_interval=1", f"optimizer.lr={rate}")
    done = command("train", *OWN, *length, f"hydra.run.dir={folder}", *words)
    assert done.code == 0, done.err
    return folder


def _first_score(run: Path) -> float:
    with (run / "metrics.csv").open(newline="") as file:
        return float(next(row["val/psnr"] for row in csv.DictReader(file) if row["val/psnr"]))


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published weights are not at hand")
@pytest.mark.parametrize(
    ("file", "architecture", "task"),
    [
        ("IMDN_x2.pth", "imdn", "task=super_resolution task.scale=2"),
        ("carn_m.pth", "carn_m", "task=super_resolution task.scale=4"),
        ("demosaicnet_bayer.pth", "demosaicnet", "task=demosaic"),
        ("dncnn_25_gray.pth", "dncnn", "task=denoise io.in_channels=1 io.out_channels=1"),
        ("ffdnet_color.pth", "ffdnet", "task=denoise"),
        ("fsrcnn_yjn870_x3.pth", "fsrcnn", "task=super_resolution_y task.scale=3"),
        ("vdsr_twtygqyy_state_dict.pth", "vdsr", "task=super_resolution_luma task.scale=2"),
    ],
)
def test_the_first_score_on_published_weights_is_that_of_evaluate(
    tmp_path: Path, file: str, architecture: str, task: str
) -> None:
    photos = write_folder(tmp_path / "photos", height=64, width=72)
    data = ("data=folder", f"data.val_dir={photos}", f"data.cache_dir={tmp_path / 'cache'}")
    given = (*task.split(), *data, "data.patch_size=24", f"architecture={architecture}")
    run = _tune(tmp_path / "run", *given, f"data.train_dir={photos}", f"weights={PUBLISHED / file}")
    output = tmp_path / "scores"
    done = command("evaluate", *given, f"checkpoint={PUBLISHED / file}", f"output={output}")
    assert done.code == 0, done.err
    record = json.loads((output / "results.json").read_text())
    (scores,) = record["benchmarks"].values()
    assert _first_score(run) == pytest.approx(scores["mean"]["psnr"], abs=5e-3)


@pytest.mark.long
def test_the_network_comes_with_the_weights(trained: Path, tmp_path: Path) -> None:
    run = _tune(tmp_path / "tuned", f"weights={trained}")
    theirs, ours = open_checkpoint(trained), open_checkpoint(run)
    assert ours.config.model == theirs.config.model
    assert all(torch.equal(theirs.weights[name], ours.weights[name]) for name in theirs.weights)


@pytest.mark.long
def test_what_is_typed_for_a_network_changes_that_of_the_weights(
    trained: Path, tmp_path: Path
) -> None:
    words = ("model/attention=channel", "model.blocks=4", "weights_match=partial")
    run = _tune(tmp_path / "tuned", f"weights={trained}", *words)
    theirs, ours = (open_checkpoint(source).config.model for source in (trained, run))
    assert ours.channels == theirs.channels == 8
    assert (theirs.blocks, ours.blocks) == (2, 4)
    assert ours.attention._target_.endswith("ChannelAttention")


@pytest.mark.long
def test_a_network_of_ones_own_choice_takes_what_fits_when_asked(
    trained: Path, tmp_path: Path
) -> None:
    other = ("model=edsr_tiny", "model.channels=8", "model.blocks=2")
    refused = command(
        "train", *OWN, *other, f"weights={trained}", f"hydra.run.dir={tmp_path / 'no'}"
    )
    assert refused.code == 1
    assert "take what fits: weights_match=partial" in refused.err
    words = (f"weights={trained}", "weights_match=partial", "model.blocks=4")
    done = train_tiny(tmp_path / "deeper", *words, "optimizer.lr=0", steps=1)
    for title in ("loaded", "new", "skipped"):
        assert f"Weights     {title}: " in done.err
    assert re.search(r"skipped: .*\n +trunk\.1\.", done.err)  # the attention, now after two blocks
    before, after = open_checkpoint(trained).weights, open_checkpoint(tmp_path / "deeper").weights
    assert torch.equal(before["head.weight"], after["head.weight"])


@pytest.mark.long
def test_a_network_of_ones_own_choice_takes_the_switches_of_the_weights(tmp_path: Path) -> None:
    node = {"_target_": "src.models.backbones.dncnn.DnCNN", "in_channels": 3, "out_channels": 3}
    node |= {"channels": 8, "blocks": 2, "batch_norm": False, "attention_sites": []}
    net = DnCNN(3, 3, channels=8, blocks=2, batch_norm=False, attention_sites=[])
    write_network(tmp_path / "merged.safetensors", net.state_dict(), node, {})
    words = ("model=dncnn", "model.blocks=2", "model.channels=8")
    weights = f"weights={tmp_path / 'merged.safetensors'}"
    begun = _tune(tmp_path / "run", *words, weights)
    assert open_checkpoint(begun).config.model.batch_norm is False
    typed = command(
        "train", *OWN, *words, weights, "model.batch_norm=true", f"hydra.run.dir={tmp_path}"
    )
    assert typed.code == 1
    assert "does not fit the network" in typed.err


@pytest.mark.long
def test_added_attention_begins_at_the_score_of_the_trunk(tmp_path: Path) -> None:
    none = "model/attention=none"
    trunk = train_tiny(tmp_path / "trunk", none, "optimizer.lr=1e-2", steps=8)
    assert trunk.code == 0
    output = tmp_path / "scores"
    done = command("evaluate", f"checkpoint={tmp_path / 'trunk'}", f"output={output}")
    assert done.code == 0, done.err
    (scores,) = json.loads((output / "results.json").read_text())["benchmarks"].values()
    words = (f"weights={tmp_path / 'trunk'}", "weights_match=partial", "model/attention=pyramid")
    grown = train_tiny(tmp_path / "grown", *words, "optimizer.lr=0", steps=1)
    assert "Attention   begins as the identity: trunk.1" in grown.err
    assert _first_score(tmp_path / "grown") == pytest.approx(scores["mean"]["psnr"], abs=0.01)


@pytest.mark.long
def test_what_fits_of_another_scale_and_colour_needs_no_network_named(tmp_path: Path) -> None:
    task = ("task=super_resolution", "data=synthetic", "data.patch_size=16")
    words = (*OWN, *task, "model=edsr_tiny", "model.blocks=2", "model.channels=8")
    done = command(
        "train", *words, "task.scale=2", "trainer.max_steps=1", f"hydra.run.dir={tmp_path / 'x2'}"
    )
    assert done.code == 0, done.err
    begun = (f"weights={tmp_path / 'x2'}", "weights_match=partial", "task.scale=4")
    run = _tune(tmp_path / "x4", *task, *begun, "io.in_channels=1", "io.out_channels=1")
    config = open_checkpoint(run).config.model
    assert (config.scale, config.in_channels, config.channels, config.blocks) == (4, 1, 8, 2)


@pytest.mark.long
def test_rates_of_parts_stay_in_proportion_when_a_run_goes_on(tmp_path: Path) -> None:
    def rates() -> list[float]:
        groups = read(tmp_path / "run/checkpoints/last.ckpt")["optimizer_states"][0]["param_groups"]
        return [group["lr"] for group in groups]

    train_tiny(tmp_path / "run", "lr_factors={trunk.*:0.1}", "optimizer.lr=1e-3", steps=1)
    assert rates() == pytest.approx([1e-3, 1e-4])
    again = ("optimizer.lr=1e-2", "trainer.max_steps=2", "trainer.val_check_interval=2")
    done = command("train", f"resume={tmp_path / 'run'}", *again)
    assert done.code == 0, done.err
    assert rates() == pytest.approx([1e-2, 1e-3])


@pytest.mark.long
def test_a_network_of_another_scale_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    net = EDSR(scale=3, channels=4, blocks=2)
    model = {"_target_": "src.models.backbones.edsr.EDSR", "scale": 3, "channels": 4, "blocks": 2}
    write_network(tmp_path / "x3.safetensors", net.state_dict(), model, {})
    words = ("task=denoise", f"weights={tmp_path / 'x3.safetensors'}")
    done = command("train", *OWN, *words, f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code == 2
    assert "its network has scale=3, the task 1" in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_frozen_parameters_stay_and_the_others_move(trained: Path, tmp_path: Path) -> None:
    words = (f"weights={trained}", "freeze=['trunk.*',head.*]")
    done = train_tiny(tmp_path / "run", *words, steps=1)
    assert "Frozen" in done.err
    before = open_checkpoint(trained).weights
    after = read(tmp_path / "run/checkpoints/last.ckpt")["state_dict"]
    moved = {
        name for name, tensor in before.items() if not torch.equal(tensor, after[f"net.{name}"])
    }
    assert moved
    assert not [name for name in moved if name.startswith(("trunk.", "head."))]


@pytest.mark.long
def test_a_pattern_that_fits_nothing_is_refused_with_the_names(tmp_path: Path) -> None:
    done = command("train", *TINY, "freeze=[body.*]", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code == 2
    assert "'body.*' fits no parameter. There are: " in done.err
    assert "trunk.*" in done.err
