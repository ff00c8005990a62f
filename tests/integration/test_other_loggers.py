"""TensorBoard and MLflow beside metrics.csv, read back by their own readers."""

import csv
import importlib.util
import logging
import os
from pathlib import Path
from unittest import mock

import pytest

from src.core.errors import ConfigError, need
from tests.support.runs import command, train_tiny


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _losses(run: Path) -> list[float]:
    with (run / "metrics.csv").open(newline="") as file:
        return [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]


@pytest.mark.long
@pytest.mark.skipif(not _has("tensorboard"), reason="the extra `tensorboard` is not installed")
def test_tensorboard_holds_scores_pictures_and_tables(tmp_path: Path) -> None:
    # W&B at once: several loggers are a list
    words = ("logger=[tensorboard,wandb]", "logger.wandb.mode=disabled")
    train_tiny(tmp_path / "run", *words)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    held = EventAccumulator(str(tmp_path / "run/tensorboard")).Reload()
    losses = [event.value for event in held.Scalars("train/loss")]
    assert losses == pytest.approx(_losses(tmp_path / "run"))
    pictures = held.Tags()["images"]
    assert len(pictures) == 2
    assert held.Images(pictures[0])[0].width == 4 * 64
    texts = {tag.removesuffix("/text_summary") for tag in held.Tags()["tensors"]}
    assert {"config", "facts", "val/scores"} <= texts


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # mlflow 3.17 on SQLAlchemy 2.1
@pytest.mark.skipif(not _has("mlflow"), reason="the extra `mlflow` is not installed")
def test_mlflow_holds_one_run_which_a_resumed_job_goes_on_with(tmp_path: Path) -> None:
    run, root = tmp_path / "run", tmp_path / "out"
    with mock.patch.dict(os.environ, {"MLFLOW_TRACKING_URI": ""}):
        train_tiny(run, "logger=mlflow", f"paths.output_root={root}")
        done = command("train", f"resume={run}", "trainer.max_steps=3", f"paths.output_root={root}")
    assert done.code == 0, done.err
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{root / 'mlflow/mlflow.db'}")
    experiment = client.get_experiment_by_name("exemplar")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.tags["model"] == "panet_tiny"
    history = client.get_metric_history(found.info.run_id, "train/loss")
    assert [metric.value for metric in history] == pytest.approx(_losses(run))
    assert len(list((root / "mlflow/artifacts").rglob("*.png"))) >= 2
    assert list((root / "mlflow/artifacts").rglob("val/scores/*.csv"))


def test_a_missing_extra_is_refused_with_the_command_that_installs_it() -> None:
    with pytest.raises(ConfigError, match=r"logger=nowhere needs .*\n.*'\.\[some\]'"):
        need("no_such_package", extra="some", asked="logger=nowhere")


@pytest.mark.long
def test_the_csv_file_is_written_whatever_logger_is_chosen(tmp_path: Path) -> None:
    logging.getLogger("wandb").setLevel(logging.ERROR)
    train_tiny(tmp_path / "run", "logger=wandb", "logger.wandb.mode=disabled", steps=1)
    assert len(_losses(tmp_path / "run")) == 1
