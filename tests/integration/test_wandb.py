"""W&B for real, offline: what is in the run file afterwards, read back from disk."""

import csv
import json
import os
from pathlib import Path
from unittest import mock

import pytest

from src.training.callbacks.carried import RUN_IDS
from src.weights.checkpoint_file import read
from tests.support.images import write_folder
from tests.support.runs import TINY, command, train_tiny
from tools.wandb_readback import RunFile, find_run_files, read_closed

KEY = "0123456789abcdef" * 2 + "01234567"
SECRETS = {
    "WANDB_API_KEY": KEY,
    "MLFLOW_TRACKING_PASSWORD": "hunter2-and-more",
    "MY_TOKEN": "t0k3n",
}
LOGGED = ("logger=wandb", "logger.wandb.mode=offline")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of four steps with two validations, logged to W&B offline."""
    folder = tmp_path_factory.mktemp("wandb") / "run"
    with mock.patch.dict(os.environ, SECRETS):
        words = (*LOGGED, "callbacks=attention", "trainer.val_check_interval=2")
        named = ("logger.wandb.tags=['http://u:hunter3@h/x']",)
        train_tiny(folder, *words, *named, "logger.wandb.log_model=true", steps=4)
    return folder


@pytest.fixture(scope="module")
def logged(run: Path) -> RunFile:
    """Return its only run file, read back."""
    (path,) = find_run_files(run)
    return read_closed(path)


@pytest.mark.long
def test_a_run_is_closed_once_and_says_what_it_belongs_to(logged: RunFile, run: Path) -> None:
    assert logged.exits == [0]
    assert logged.run["name"] == "denoise-panet_tiny-synthetic-s0"
    assert (logged.run["project"], logged.run["job_type"]) == ("exemplar", "denoise")
    assert json.loads((run / "run_ids.json").read_text()) == {"wandb": logged.run["id"]}


@pytest.mark.long
def test_the_config_is_plain_with_flat_words_to_filter_by(logged: RunFile) -> None:
    flat = {"task": "denoise", "model": "panet_tiny", "attention": "pyramid", "data": "synthetic"}
    assert {key: logged.config[key] for key in flat} == flat
    assert logged.config["learning_rate"] == logged.config["config"]["optimizer"]["lr"]
    assert logged.config["parameters"] > 1000
    assert logged.config["config"]["data"]["patch_size"] == 16


@pytest.mark.long
def test_every_score_is_there_once_under_the_trainers_step(logged: RunFile, run: Path) -> None:
    assert logged.metrics == {"trainer/global_step": "", "*": "trainer/global_step"}
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("train/loss", "val/psnr", "val/synthetic/ssim"):
        expected = [(int(row["step"]), float(row[name])) for row in rows if row[name]]
        found = [(row["trainer/global_step"], row[name]) for row in logged.rows if name in row]
        assert [step for step, _ in found] == [step for step, _ in expected]
        assert [score for _, score in found] == pytest.approx([score for _, score in expected])
    assert len(logged.scalars()["train/loss"]) == 4


def test_each_validation_has_its_pictures_once(logged: RunFile, run: Path) -> None:
    pictures = logged.media("images/separated")
    assert len(pictures) == 2 * (2 + 1)  # two panels and one attention map at each validation
    names = [name for picture in pictures for name in picture["filenames"]]
    assert len(set(names)) == len(names)
    files = next((run / "wandb").glob("offline-run-*")) / "files"
    assert all((files / name).is_file() for name in names)
    captions = {picture["captions"][0] for picture in pictures}
    assert "input | restored | target | error ×5" in captions
    panels = [(row["trainer/global_step"]) for row in logged.rows if _has(row, "images/")]
    assert panels == [1, 1, 3, 3]


def _has(row: dict[str, object], prefix: str) -> bool:
    return any(key.startswith(prefix) for key in row)


def test_each_validation_has_a_table_with_a_row_an_image(logged: RunFile, run: Path) -> None:
    tables = logged.media("table-file")
    assert [(table["nrows"], table["ncols"]) for table in tables] == [(2, 8), (2, 8)]
    file = next((run / "wandb").glob("offline-run-*")) / "files" / tables[-1]["path"]
    table = json.loads(file.read_text())
    assert table["columns"][:5] == ["benchmark", "image", "psnr_input", "psnr", "psnr_gain"]
    mean = sum(row[3] for row in table["data"]) / 2
    assert mean == pytest.approx(logged.scalars()["val/psnr"][-1])


def test_the_best_checkpoint_is_an_artifact_where_asked_for(logged: RunFile) -> None:
    assert f"model-{logged.run['id']}" in logged.artifacts


def test_no_secret_of_the_environment_is_in_any_file(run: Path) -> None:
    files = [path for path in run.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        content = path.read_bytes()
        for name, secret in {**SECRETS, "an address": "hunter3"}.items():
            assert secret.encode() not in content, f"{name} in {path}"


@pytest.mark.long
def test_checkpoints_know_their_run_and_a_resumed_one_goes_on_in_it(run: Path) -> None:
    (first,) = find_run_files(run)
    run_id = read_closed(first).run["id"]
    assert read(run / "checkpoints/last.ckpt")["restoration"][RUN_IDS] == {"wandb": run_id}
    (run / "run_ids.json").unlink()  # the checkpoint knows it too
    done = command("train", f"resume={run}", "trainer.max_steps=6")
    assert done.code == 0, done.err
    files = find_run_files(run)
    assert len(files) == 2
    second = read_closed(files[1])
    assert second.run["id"] == run_id
    losses = [row["trainer/global_step"] for row in second.rows if "train/loss" in row]
    assert losses == [4, 5]
    assert second.config["max_steps"] == 6


@pytest.mark.long
def test_a_failed_run_is_closed_as_failed(tmp_path: Path) -> None:
    breaking = "{_target_: tools.breaking.OverflowAt, step: 1, layer: trunk.0.body.0}"
    words = (*TINY, *LOGGED, "trainer.max_steps=4", f"hydra.run.dir={tmp_path / 'run'}")
    done = command("train", *words, f"+callbacks.breaking={breaking}")
    assert done.code == 1
    (path,) = find_run_files(tmp_path / "run")
    assert read_closed(path).exits == [1]


@pytest.mark.long
def test_a_training_that_does_not_begin_begins_no_run_and_leaves_no_folder(tmp_path: Path) -> None:
    photos = write_folder(tmp_path / "photos")
    (photos / "broken.png").write_text("no image")
    folders = (f"data.train_dir={photos}", f"data.cache_dir={tmp_path / 'cache'}")
    words = (*TINY, *LOGGED, "data=folder", *folders, f"hydra.run.dir={tmp_path / 'run'}")
    for cache in ("on", "off"):
        done = command("train", *words, f"data.cache={cache}")
        assert done.code == 1
        assert "broken.png" in done.err
        assert "wandb sync" not in done.err
        assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_disabled_leaves_no_trace(tmp_path: Path) -> None:
    done = train_tiny(tmp_path / "run", "logger=wandb", "logger.wandb.mode=disabled", steps=1)
    assert "offline" not in done.out + done.err
    assert not find_run_files(tmp_path / "run")
    assert not (tmp_path / "run/run_ids.json").exists()
    assert (tmp_path / "run/metrics.csv").is_file()
