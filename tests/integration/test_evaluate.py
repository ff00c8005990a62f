import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src.data.image_io import read_image
from tests.support.images import pixels, write, write_folder
from tests.support.runs import command


def _evaluate(checkpoint: Path, output: Path, *words: str) -> dict[str, Any]:
    done = command("evaluate", f"checkpoint={checkpoint}", f"output={output}", *words)
    assert done.code == 0, done.err
    results: dict[str, Any] = json.loads((output / "results.json").read_text())
    return results


@pytest.mark.long
def test_results_say_what_was_scored_how_and_with_what(trained: Path, tmp_path: Path) -> None:
    results = _evaluate(trained, tmp_path)
    assert results["schema"] == 2
    assert results["step"] == 2
    assert results["checkpoint"] == str(trained / "checkpoints/best.ckpt")
    assert results["protocol"]["name"] == "denoise_rgb_clip8"
    assert results["degradation"]["sigma"] == [25, 25]
    said = {"tile": "auto", "overlap": 16, "ensemble": False, "tiling": "feathered"}
    assert said.items() <= results["inference"].items()
    assert {"version", "commit"} <= set(results["trained_by"]) & set(results["scored_by"])
    training = results["training"]
    assert training["data"]["train"]["count"] == 4
    assert (training["trainer"]["max_steps"], training["chosen_on"]) == (2, ["synthetic"])
    assert "workers" not in training["data"]
    assert results["parameters"] > 0
    board = results["benchmarks"]["synthetic"]
    assert board["images"] == 2
    assert set(board["mean"]) == {"psnr", "ssim", "psnr_input", "ssim_input"}
    assert set(board["restored"]) == set(board["input"]) == {"synthetic_0", "synthetic_1"}


@pytest.mark.long
def test_the_record_says_in_which_precision_it_was_restored(trained: Path, tmp_path: Path) -> None:
    usual = _evaluate(trained, tmp_path / "usual")
    assert "precision" not in usual
    auto = _evaluate(trained, tmp_path / "auto", "precision=auto")
    assert auto["precision"]["asked"] == "auto"
    assert auto["precision"]["used"].startswith(("fp32", "bf16"))
    assert "alike" in auto["precision"]["why"] or "as fast" in auto["precision"]["why"]
    assert auto["precision"]["used"] in auto["inference_in_words"]
    assert auto["config_sha256"] != usual["config_sha256"]
    scores = (each["benchmarks"]["synthetic"]["mean"]["psnr"] for each in (usual, auto))
    assert next(scores) == pytest.approx(next(scores), abs=0.01)


@pytest.mark.long
def test_the_mean_is_that_of_the_images(trained: Path, tmp_path: Path) -> None:
    board = _evaluate(trained, tmp_path)["benchmarks"]["synthetic"]
    scores = [image["psnr"] for image in board["restored"].values()]
    assert board["mean"]["psnr"] == pytest.approx(np.mean(scores), abs=1e-9)


@pytest.mark.long
def test_scores_csv_holds_the_same_scores(trained: Path, tmp_path: Path) -> None:
    board = _evaluate(trained, tmp_path)["benchmarks"]["synthetic"]
    with (tmp_path / "scores.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 4
    for row in table:
        assert float(row["restored"]) == board["restored"][row["image"]][row["metric"]]
        assert float(row["input"]) == board["input"][row["image"]][row["metric"]]


@pytest.mark.long
def test_a_run_folder_and_its_best_file_score_alike_and_so_does_a_second_time(
    trained: Path, tmp_path: Path
) -> None:
    boards = [
        _evaluate(source, tmp_path / name)["benchmarks"]
        for name, source in {
            "folder": trained,
            "again": trained,
            "file": trained / "checkpoints/best.ckpt",
        }.items()
    ]
    assert boards[0] == boards[1] == boards[2]


def test_validation_while_training_and_evaluation_agree(trained: Path, tmp_path: Path) -> None:
    board = _evaluate(trained / "checkpoints/last.ckpt", tmp_path)["benchmarks"]["synthetic"]
    with (trained / "metrics.csv").open(newline="") as file:
        logged = list(csv.DictReader(file))[-1]
    assert float(logged["val/psnr"]) == pytest.approx(board["mean"]["psnr"], abs=1e-5)


@pytest.mark.long
def test_the_score_of_an_image_does_not_depend_on_its_neighbours(
    trained: Path, tmp_path: Path
) -> None:
    many = write_folder(tmp_path / "many", 3)
    one = tmp_path / "one"
    one.mkdir()
    (many / "b.png").rename(tmp_path / "b.png")
    (one / "b.png").write_bytes((tmp_path / "b.png").read_bytes())
    (many / "b.png").write_bytes((tmp_path / "b.png").read_bytes())
    words = ("data=folder", "data.cache=off")
    all_three = _evaluate(trained, tmp_path / "all", *words, f"data.val_dir={many}")
    alone = _evaluate(trained, tmp_path / "alone", *words, f"data.val_dir={one}")
    assert (
        all_three["benchmarks"]["many"]["restored"]["b"]
        == alone["benchmarks"]["one"]["restored"]["b"]
    )


@pytest.mark.long
def test_another_protocol_changes_the_noise_with_it(trained: Path, tmp_path: Path) -> None:
    results = _evaluate(trained, tmp_path, "protocol=denoise_rgb_float")
    assert results["protocol"]["input_8bit"] is False
    assert results["degradation"]["clip8"] is False


@pytest.mark.long
def test_stronger_noise_lowers_the_score_of_the_input(trained: Path, tmp_path: Path) -> None:
    weak = _evaluate(trained, tmp_path / "weak")
    words = ("degradation=gaussian", "degradation.sigma=[50,50]", "degradation.clip8=true")
    strong = _evaluate(trained, tmp_path / "strong", *words)
    difference = [item["benchmarks"]["synthetic"]["mean"]["psnr_input"] for item in (strong, weak)]
    assert difference[1] - difference[0] == pytest.approx(6, abs=1)  # half the noise: 6.02 dB


@pytest.mark.long
def test_pictures_are_written_where_they_are_asked_for(trained: Path, tmp_path: Path) -> None:
    _evaluate(trained, tmp_path / "out", f"picture={tmp_path / 'before_after.png'}")
    with Image.open(tmp_path / "before_after.png") as image:
        assert image.size == (3 * 64, 64)
    assert len(list((tmp_path / "out/images").iterdir())) == 2


@pytest.mark.long
def test_without_pictures_only_numbers_are_written(trained: Path, tmp_path: Path) -> None:
    _evaluate(trained, tmp_path, "images=false")
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "scores.csv"}


@pytest.mark.long
def test_the_target_in_a_panel_is_the_image_itself(trained: Path, tmp_path: Path) -> None:
    image = pixels(20, 24)
    write(tmp_path / "set/a.png", image)
    words = ("data=folder", "data.cache=off", f"data.val_dir={tmp_path / 'set'}")
    _evaluate(trained, tmp_path / "out", *words)
    panel = read_image(tmp_path / "out/images/set_a.png", channels=3)
    assert np.array_equal(panel[:, 2 * 24 : 3 * 24], image)


def test_without_an_output_the_results_lie_in_the_run(run: Path) -> None:
    done = command("evaluate", f"checkpoint={run}", "images=false")
    assert done.code == 0, done.err
    assert len(list(run.glob("evaluate/*/results.json"))) == 1
    assert str(run / "evaluate") in done.out
