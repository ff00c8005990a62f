"""`python -m src.evaluate` scores a model that has nothing to train, and no other."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from src.commands.evaluate.command import evaluate
from src.core.errors import ConfigError
from tests.support.compose import compose_config
from tests.support.images import pixels, write_folder
from tests.support.runs import Finished, command


def _evaluate(tmp_path: Path, *words: str) -> Finished:
    common = (f"output={tmp_path / 'scores'}", f"data.cache_dir={tmp_path / 'cache'}", "device=cpu")
    return command("evaluate", *words, *common)


@pytest.mark.long
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


@pytest.mark.long
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


GREY_TASKS = {
    "dejpeg": ("task=dejpeg", "model=identity"),
    "luma": ("task=super_resolution_y", "model=bicubic"),
    "grey": ("task=super_resolution", "protocol=sr_y_grey", "model=bicubic"),
}


@pytest.mark.long
@pytest.mark.parametrize("words", GREY_TASKS.values(), ids=GREY_TASKS)
def test_grey_pixels_score_alike_in_every_container(tmp_path: Path, words: tuple[str, ...]) -> None:
    grey = Image.fromarray(pixels(40, 48, 1)[..., 0])
    folder = tmp_path / "photos"
    folder.mkdir()
    grey.save(folder / "one.png")
    grey.convert("RGB").save(folder / "three.png")
    grey.convert("P").save(folder / "palette.png")
    grey.save(folder / "bitmap.bmp")
    grey.save(folder / "lossless.webp", lossless=True)
    scores = {}
    for rule in ("content", "file"):
        common = (f"data.val_dir={folder}", f"data.grey={rule}")
        finished = _evaluate(tmp_path, *words, "data=folder", *common)
        assert finished.code == 0, finished.err
        results = json.loads((tmp_path / "scores/results.json").read_text())
        scores[rule] = {
            key: value["psnr"] for key, value in results["benchmarks"]["photos"]["restored"].items()
        }
    assert set(scores["content"]) == {"one", "three", "palette", "bitmap", "lossless"}
    assert len(set(scores["content"].values())) == 1
    assert scores["file"]["one"] == scores["content"]["one"] != scores["file"]["three"]


def test_a_number_for_a_word_is_refused_with_a_word_that_is_possible() -> None:
    done = command("evaluate", "task=denoise", "model=identity", "precision=16")
    assert done.code == 2
    assert "precision=16 is not possible; it must be str, such as fp32" in done.err
