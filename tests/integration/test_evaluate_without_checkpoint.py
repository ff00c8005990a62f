"""`python -m src.evaluate` scores a model that has nothing to train, and no other."""

import json
import re
from pathlib import Path

import pytest

from src.commands.evaluate.command import evaluate
from src.core.errors import ConfigError
from tests.support.compose import compose_config
from tests.support.images import write_folder
from tests.support.runs import Finished, command


def _evaluate(tmp_path: Path, *words: str) -> Finished:
    common = (f"output={tmp_path / 'scores'}", f"data.cache_dir={tmp_path / 'cache'}", "device=cpu")
    return command("evaluate", *words, *common)


def test_the_model_is_the_score_to_beat(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", height=33, width=40)
    words = ("task=super_resolution", "task.scale=3", "model=bicubic", "data=folder")
    finished = _evaluate(tmp_path, *words, f"data.val_dir={folder}")
    assert finished.code == 0, finished.err
    results = json.loads((tmp_path / "scores/results.json").read_text())
    mean = results["benchmarks"]["photos"]["mean"]
    assert mean["psnr"] == mean["psnr_input"]
    assert results["name"] == "bicubic"
    assert results["checkpoint"] is None
    assert results["protocol"]["border"] == 3
    assert len(list((tmp_path / "scores/images").glob("*.png"))) == 3


def test_a_network_with_random_weights_is_not_scored(tmp_path: Path) -> None:
    finished = _evaluate(tmp_path, "task=denoise", "model=panet_tiny")
    assert finished.code != 0
    assert re.search(r"PANet has [\d,]+ parameters and no weights", finished.err), finished.err
    assert not (tmp_path / "scores/results.json").exists()


def test_neither_checkpoint_nor_task_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"checkpoint=(.|\n)*model=bicubic"):
        evaluate(compose_config(config_name="evaluate"))


def test_both_checkpoint_and_task_are_refused() -> None:
    with pytest.raises(ConfigError, match="checkpoint=… brings its own task and model"):
        evaluate(compose_config("checkpoint=a/run", "task=denoise", config_name="evaluate"))
