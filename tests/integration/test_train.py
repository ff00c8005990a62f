import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from src.weights.checkpoint_file import read
from tests.support.compare import assert_same, rows
from tests.support.runs import TINY, command, train_tiny


def test_a_run_leaves_every_promised_file(trained: Path) -> None:
    promised = {"config.yaml", "overrides.yaml", "environment.json", "metrics.csv"}
    assert promised <= {path.name for path in trained.iterdir()}
    checkpoints = {"last.ckpt", "previous.ckpt", "best.ckpt"}
    assert {path.name for path in (trained / "checkpoints").iterdir()} == checkpoints


def test_the_saved_config_is_resolved_and_plain(trained: Path) -> None:
    text = (trained / "config.yaml").read_text()
    config = yaml.safe_load(text)
    assert "${" not in text
    assert "???" not in text
    assert config["model"]["blocks"] == 2
    assert config["data"]["seed"] == config["seed"] == 0
    assert config["paths"]["output_dir"] == str(trained)


def test_the_overrides_are_kept_as_typed(trained: Path) -> None:
    saved = yaml.safe_load((trained / "overrides.yaml").read_text())
    assert saved[: len(TINY)] == list(TINY)


def test_the_environment_says_commit_versions_hardware_and_seed(trained: Path) -> None:
    environment = json.loads((trained / "environment.json").read_text())
    assert environment["commit"]
    assert environment["packages"]["torch"] == torch.__version__
    assert environment["hardware"]["cores"] > 0
    assert environment["hardware"]["processor"]
    assert environment["seed"] == 0
    assert environment["command"]


def test_metrics_csv_holds_loss_speed_and_scores(trained: Path) -> None:
    with (trained / "metrics.csv").open(newline="") as file:
        metrics = list(csv.DictReader(file))
    losses = [row["train/loss"] for row in metrics if row["train/loss"]]
    assert len(losses) == 2
    assert float(metrics[-1]["val/psnr"]) == float(metrics[-1]["val/synthetic/psnr"]) > 0
    assert float(metrics[-1]["val/psnr_input"]) > 0
    assert float(metrics[0]["perf/images_per_s"]) > 0


def test_each_validated_image_has_a_panel_of_four_parts(trained: Path) -> None:
    panels = sorted((trained / "images/step_0000002").iterdir())
    assert [panel.stem for panel in panels] == [f"synthetic_synthetic_{index}" for index in (0, 1)]
    with Image.open(panels[0]) as image:
        assert image.size == (4 * 64, 64)
        assert np.asarray(image).std() > 0


def test_a_checkpoint_carries_config_version_and_commit(trained: Path) -> None:
    carried = read(trained / "checkpoints/last.ckpt")["restoration"]
    assert carried["config"] == yaml.safe_load((trained / "config.yaml").read_text())
    assert carried["version"]
    assert carried["commit"]


@pytest.mark.long
def test_the_same_seed_gives_the_same_checkpoint_bit_by_bit(trained: Path, tmp_path: Path) -> None:
    train_tiny(tmp_path / "again")
    assert_same(trained, tmp_path / "again")
    assert rows(trained) == rows(tmp_path / "again")


@pytest.mark.long
def test_the_number_of_loader_processes_changes_nothing(trained: Path, tmp_path: Path) -> None:
    train_tiny(tmp_path / "workers", "data.workers=2")
    assert_same(trained, tmp_path / "workers")


@pytest.mark.long
def test_another_seed_gives_other_weights(trained: Path, tmp_path: Path) -> None:
    train_tiny(tmp_path / "other", "seed=1")
    with pytest.raises(AssertionError, match="state_dict"):
        assert_same(trained, tmp_path / "other")


@pytest.mark.long
def test_the_run_says_where_it_is_and_what_comes_next(tmp_path: Path) -> None:
    said = train_tiny(tmp_path / "run").err
    assert f"Run folder  {tmp_path / 'run'}" in said
    assert "Protocol    denoise_rgb_clip8 v1" in said
    assert f"python -m src.evaluate checkpoint={tmp_path / 'run'}" in said
    assert "Traceback" not in said


@pytest.mark.long
def test_weights_starts_from_the_network_of_another_run(trained: Path, tmp_path: Path) -> None:
    slow = ("optimizer.lr=0", f"weights={trained / 'checkpoints/last.ckpt'}")
    train_tiny(tmp_path / "from", *slow, steps=1)
    before = read(trained / "checkpoints/last.ckpt")["state_dict"]
    after = read(tmp_path / "from/checkpoints/last.ckpt")["state_dict"]
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.long
def test_a_folder_that_holds_a_run_is_not_overwritten(run: Path) -> None:
    before = (run / "checkpoints/last.ckpt").read_bytes()
    done = command("train", *TINY, "trainer.max_steps=1", f"hydra.run.dir={run}")
    assert done.code == 1
    assert f"already holds a run. Continue it with resume={run}" in done.err
    assert (run / "checkpoints/last.ckpt").read_bytes() == before


@pytest.mark.long
def test_the_job_log_can_be_switched_off_in_hydras_words(tmp_path: Path) -> None:
    train_tiny(tmp_path / "run", "hydra/job_logging=disabled")
    assert not (tmp_path / "run" / "train.log").exists()
