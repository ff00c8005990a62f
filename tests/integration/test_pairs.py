"""Training and scoring on pairs: their scores, exact resume, any number of processes."""

import csv
import json
from pathlib import Path

import pytest
import torch

from src.data.image_io import read_image
from src.weights.checkpoint import open_checkpoint
from tests.support.images import write, write_folder
from tests.support.runs import TINY, command, trained_weights

WORDS = tuple(word for word in TINY if not word.startswith(("data=", "data.cache")))


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[str, ...]:
    """Words that train on pairs and score others: inputs are targets, twice as dark."""
    for split in ("train", "val"):
        targets = write_folder(tmp_path / split / "gt", seed=len(split))
        for path in targets.iterdir():
            dark = read_image(path, channels=3) // 2
            write(tmp_path / split / "in" / f"{path.stem}_LQ.png", dark)
    return (
        "data=pairs",
        f"data.target_dir={tmp_path}/train/gt",
        f"data.input_dir={tmp_path}/train/in",
        f"data.val_target_dir={tmp_path}/val/gt",
        f"data.val_input_dir={tmp_path}/val/in",
        f"data.cache_dir={tmp_path}/cache",
    )


@pytest.mark.long
def test_a_run_on_pairs_goes_on_bit_for_bit_and_is_scored_on_pairs(
    pairs: tuple[str, ...], tmp_path: Path
) -> None:
    whole = trained_weights(tmp_path / "whole", *WORDS, *pairs, steps=3)
    trained_weights(tmp_path / "cut", *WORDS, *pairs, steps=1)
    cut = trained_weights(tmp_path / "cut", f"resume={tmp_path / 'cut'}", steps=3)
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    with (tmp_path / "whole/metrics.csv").open(newline="") as file:
        rows = [float(row["val/gt/psnr"]) for row in csv.DictReader(file) if row["val/gt/psnr"]]
    output = tmp_path / "scores"
    last = tmp_path / "whole/checkpoints/last.ckpt"
    done = command("evaluate", f"checkpoint={last}", f"output={output}", "images=false")
    assert done.code == 0, done.err
    record = json.loads((output / "results.json").read_text())
    assert record["degradation"] == {"_target_": "src.degradations.identity.Identity"}
    scores = record["benchmarks"]["gt"]
    assert scores["mean"]["psnr"] == pytest.approx(rows[-1], abs=1e-3)


@pytest.mark.slow
def test_two_processes_train_as_one_on_pairs(pairs: tuple[str, ...], tmp_path: Path) -> None:
    one = trained_weights(tmp_path / "one", *WORDS, *pairs, steps=2)
    words = [word for word in WORDS if word != "trainer=cpu"]
    two = trained_weights(tmp_path / "two", *words, *pairs, "trainer=ddp_cpu", steps=2)
    for name, tensor in one.items():
        # Adam moves each number by about 2e-4 in two steps, whichever the batches were.
        torch.testing.assert_close(two[name], tensor, rtol=0, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("data.input_dir=null",), "pairs need both"),
        (("data.pattern=x",), "no group"),
        (("data/transform=albumentations",), "pairs are degraded already"),
    ],
)
def test_what_pairs_cannot_be_is_refused(
    pairs: tuple[str, ...], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = command("train", *WORDS, *pairs, *words, f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code != 0
    assert said in done.err


@pytest.mark.long
def test_on_pairs_ffdnet_takes_one_noise_level_for_all(
    pairs: tuple[str, ...], tmp_path: Path
) -> None:
    words = [word for word in WORDS if not word.startswith("model")]
    network = ("model=ffdnet", "model.channels=8", "model.blocks=2", "model.sigma=10")
    trained_weights(tmp_path / "run", *words, *pairs, *network, steps=1)
    model = open_checkpoint(tmp_path / "run").config.model
    assert (model.in_channels, model.sigma) == (3, 10)
