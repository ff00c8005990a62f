"""`python -m src.degrade` makes degraded images that are what evaluation scores."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.data.image_io import read_image
from tests.support.images import write_folder
from tests.support.runs import command


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "clean", height=32, width=41)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.long
def test_a_second_run_makes_the_same_files_and_another_seed_others(
    clean: Path, tmp_path: Path
) -> None:
    words = ("degradation=bsrgan", "scale=2", f"input={clean}")
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        done = command("degrade", *words, f"output={tmp_path / name}", f"seed={seed}")
        assert done.code == 0, done.err
    one, again, other = (_bytes(tmp_path / name) for name in ("one", "again", "other"))
    assert one == again
    assert one["parameters.csv"] != other["parameters.csv"]
    text = (tmp_path / "one/parameters.csv").read_text().splitlines()
    rows = list(csv.DictReader(text))
    assert [row["image"] for row in rows] == ["a", "b", "c"]
    assert all(30 <= float(row["last_jpeg.quality"]) <= 95 for row in rows)
    assert read_image(tmp_path / "one/input/a.png", channels=3).shape == (16, 20, 3)
    assert read_image(tmp_path / "one/target/a.png", channels=3).shape == (32, 40, 3)
    settings = json.loads((tmp_path / "one/degradation.json").read_text())
    assert settings["degradation"]["_target_"] == "src.degradations.chain.Chain"


@pytest.mark.long
def test_the_images_are_those_that_evaluation_scores(clean: Path, tmp_path: Path) -> None:
    noise = "degradation.sigma=[10,40]"
    done = command(
        "degrade", f"input={clean}", "degradation=gaussian", noise, f"output={tmp_path}/n"
    )
    assert done.code == 0, done.err
    scores = {}
    for name, words in (
        ("made", ("task=denoise", "model=identity", noise, f"sets={clean}")),
        ("file", (f"restored={tmp_path}/n/input", "protocol=denoise_rgb_clip8", f"sets={clean}")),
    ):
        where = (f"output={tmp_path / name}", f"paths.cache_dir={tmp_path}/cache", "device=cpu")
        done = command("evaluate", *words, *where)
        assert done.code == 0, done.err
        record = json.loads((tmp_path / name / "results.json").read_text())
        scores[name] = record["benchmarks"]["clean"]["restored"]
    assert scores["made"] == scores["file"]


def test_sixteen_bits_are_degraded_and_written_with_all_of_them(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (24, 24, 3), dtype=np.uint16)
    (tmp_path / "clean").mkdir()
    assert cv2.imwrite(str(tmp_path / "clean/a.png"), levels[..., ::-1])
    words = ("degradation=gaussian", "degradation.sigma=[5,5]", "protocol.input_8bit=false")
    done = command("degrade", f"input={tmp_path}/clean", *words, f"output={tmp_path}/out")
    assert done.code == 0, done.err
    assert np.array_equal(read_image(tmp_path / "out/target/a.png", channels=3), levels)
    noisy = read_image(tmp_path / "out/input/a.png", channels=3)
    assert noisy.dtype == np.uint16
    assert len(np.unique(noisy)) > 256


@pytest.mark.long
def test_overwriting_leaves_no_image_of_the_run_before(clean: Path, tmp_path: Path) -> None:
    words = ("degradation=identity", f"output={tmp_path}/out", "overwrite=true")
    assert command("degrade", f"input={clean}", *words).code == 0
    (tmp_path / "out/input/mine.png").write_text("not made here")
    (clean / "c.png").unlink()
    assert command("degrade", f"input={clean}", *words).code == 0
    names = {path.name for path in (tmp_path / "out").glob("*/*.png")}
    assert names == {"a.png", "b.png", "mine.png"}


@pytest.mark.long
def test_each_job_of_a_sweep_has_a_folder_of_its_own(clean: Path, tmp_path: Path) -> None:
    words = (f"input={clean}", "degradation=jpeg", "degradation.quality=[10,10],[90,90]")
    done = command(
        "degrade", "-m", *words, f"output={tmp_path}/out", f"hydra.sweep.dir={tmp_path}/m"
    )
    assert done.code == 0, done.err
    rows = [(tmp_path / f"out/{job}/parameters.csv").read_text() for job in (0, 1)]
    assert rows[0] != rows[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("input={tmp}/nowhere",), "does not exist"),
        (("input={clean}", "scale=0"), "the scale is 1 or more"),
        (("input={clean}", "degradation=blur"), "degradation=blur"),
        (("input={clean}", "degradation.steps.jpeg.quality=[90,50]"), "low <= high"),
        (("input={clean}", "output={tmp}"), "is not empty; set overwrite=true"),
        (("input={clean}", "output={clean}/a.png"), "a.png is a file"),
        (("input={clean}", "output={clean}", "overwrite=true"), "lies in input="),
        (("input={clean}", "output={clean}/degraded"), "lies in input="),
        (("input={tmp}", "output={clean}"), "lies in input="),
        (("input={clean}", "scale=64"), "of src.degrade, on_error=skip"),
        (("input=[{clean},{tmp}]",), "one folder or one prepared set"),
    ],
)
def test_what_cannot_be_made_is_refused(
    clean: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    given = [word.format(tmp=tmp_path, clean=clean) for word in words]
    done = command("degrade", f"output={tmp_path}/out", *given)
    assert done.code != 0
    assert said in done.err
    assert not (tmp_path / "out").exists()
