"""`python -m src.evaluate restored=…` scores images that any program has restored."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src.data.image_io import read_image, to_image, to_tensor
from src.ops.resize import downscale, mod_crop, upscale
from tests.support.images import pixels, write, write_folder
from tests.support.runs import Finished, command


def _evaluate(output: Path, *words: str) -> Finished:
    return command(
        "evaluate", *words, f"output={output}", f"paths.cache_dir={output}_cache", "device=cpu"
    )


def _record(output: Path, *words: str) -> dict[str, Any]:
    done = _evaluate(output, *words)
    assert done.code == 0, done.err
    record: dict[str, Any] = json.loads((output / "results.json").read_text())
    return record


def _scores(record: dict[str, Any]) -> dict[str, Any]:
    scores: dict[str, Any] = record["benchmarks"]["clean"]
    return scores


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "clean", height=32, width=40)


@pytest.fixture
def enlarged(clean: Path, tmp_path: Path) -> Path:
    """Images of ``clean`` shrunk and enlarged again ×3, which makes them 30×39."""
    for path in clean.iterdir():
        image = mod_crop(to_tensor(read_image(path, channels=3))[None], 3)
        large = upscale(downscale(image, 3, clip8=True), 3)
        write(tmp_path / "bicubic" / f"{path.stem}_x3_SR.png", to_image(large[0]))
    return tmp_path / "bicubic"


@pytest.mark.long
@pytest.mark.parametrize(
    "words", [("task=super_resolution",), ("protocol=sr_y",)], ids=["task", "protocol"]
)
def test_enlarged_images_have_the_scores_of_the_network_that_made_them(
    clean: Path, enlarged: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    shown = ("task=super_resolution", "model=bicubic", "scale=3", f"sets={clean}")
    ours = _record(tmp_path / "ours", *shown)
    theirs = _record(
        tmp_path / "theirs", f"restored={enlarged}", f"sets={clean}", "scale=3", *words
    )
    assert _scores(theirs)["mean"]["psnr"] == pytest.approx(_scores(ours)["mean"]["psnr"], abs=1e-9)
    assert _scores(theirs)["mean"]["ssim"] == pytest.approx(_scores(ours)["mean"]["ssim"], abs=1e-9)
    assert theirs["protocol"] == ours["protocol"]
    assert theirs["name"] == "bicubic"
    assert theirs["restored"] == str(enlarged)
    assert _scores(theirs)["set"] == _scores(ours)["set"]
    assert "psnr_input" not in _scores(theirs)["mean"]  # of inputs nothing is known


@pytest.mark.long
def test_several_rivals_are_in_one_table_and_can_be_compared(
    clean: Path, enlarged: Path, tmp_path: Path
) -> None:
    better = shutil.copytree(clean, tmp_path / "copies")
    for path in better.iterdir():
        image = read_image(path, channels=3)
        write(path, np.where(image > 250, image, image + 1).astype(np.uint8))
    rivals = f"restored={{one:{enlarged},other:{better}}}"
    output = tmp_path / "scores"
    done = _evaluate(output, rivals, f"sets={clean}", "protocol=denoise_rgb_clip8", "scale=3")
    assert done.code == 0, done.err
    assert "one" in done.out
    assert "other" in done.out
    rows = json.loads((output / "summary.json").read_text())["combinations"]
    assert [row["name"] for row in rows] == ["one", "other"]
    words = (f"compare=[{output}/one,{output}/other]", f"output={tmp_path / 'report'}")
    compared = command("report", *words)
    assert compared.code == 0, compared.err
    page = command("report", f"results=[{output}]", f"output={tmp_path / 'page'}")
    assert page.code == 0, page.err


@pytest.mark.long
def test_without_an_output_the_scores_are_beside_those_of_evaluations(
    clean: Path, enlarged: Path, tmp_path: Path
) -> None:
    words = (f"restored={enlarged}", f"sets={clean}", "scale=3", "protocol=sr_y", "device=cpu")
    where = (f"paths.output_root={tmp_path}/out", f"paths.cache_dir={tmp_path}/cache")
    done = command("evaluate", *words, *where)
    assert done.code == 0, done.err
    assert len(list((tmp_path / "out/evaluate/restored").glob("*/results.json"))) == 1


def _missing(folder: Path) -> None:
    (folder / "a_x3_SR.png").unlink()


def _surplus(folder: Path) -> None:
    write(folder / "z.png", pixels(30, 39))


def _twice(folder: Path) -> None:
    shutil.copy(folder / "a_x3_SR.png", folder / "a_SR.png")


def _without_border(folder: Path) -> None:
    with Image.open(folder / "a_x3_SR.png") as image:
        image.crop((0, 0, 36, 28)).save(folder / "a_x3_SR.png")


def _of_another_scale(folder: Path) -> None:
    write(folder / "a_x3_SR.png", pixels(60, 78))


def _not_enlarged(folder: Path) -> None:
    write(folder / "a_x3_SR.png", pixels(10, 13))


def _turned(folder: Path) -> None:
    with Image.open(folder / "a_x3_SR.png") as image:
        image.transpose(Image.Transpose.ROTATE_90).save(folder / "a_x3_SR.png")


def _grey(folder: Path) -> None:
    with Image.open(folder / "a_x3_SR.png") as image:
        image.convert("L").save(folder / "a_x3_SR.png")


def _broken(folder: Path) -> None:
    (folder / "a_x3_SR.png").write_bytes(b"no image")


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def _gone(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (_missing, "clean images without a restored image"),
        (_surplus, "restored images without a clean image"),
        (_twice, "several files of one image"),
        (_without_border, "without a border of 2 px the clean image would fit"),
        (_of_another_scale, "the restored image is 78×60, the clean image 40×32 px"),
        (_turned, "the restored image is 30×39"),
        (_not_enlarged, "the restored image is 3 times smaller"),
        (_grey, "a grey restored image of a coloured clean image"),
        (_broken, "is not an image"),
        (_empty, "There is no image under"),
        (_gone, "does not exist"),
    ],
)
def test_mistakes_in_a_folder_are_said(
    clean: Path, enlarged: Path, tmp_path: Path, mistake: Callable[[Path], None], said: str
) -> None:
    mistake(enlarged)
    words = (f"restored={enlarged}", f"sets={clean}", "protocol=sr_y", "scale=3")
    done = _evaluate(tmp_path / "scores", *words)
    assert done.code != 0
    assert said in done.err
    assert not (tmp_path / "scores/results.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "needs the clean images"),
        (("sets=[]",), "names none"),
        (("sets={clean}",), "protocol=… or task=…"),
        (("sets={clean}", "protocol=sr_y", "sigma=25"), "leave out sigma"),
        (("sets={clean}", "protocol=sr_y", "model=bicubic"), "leave out model"),
        (("sets={clean}", "protocol=sr_y", "checkpoint=zoo/denoise"), "leave out checkpoint"),
        (("sets={clean}", "protocol=sr_y_pillow", "scale=3"), "resamples the clean images"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    clean: Path, enlarged: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    given = (word.replace("{clean}", str(clean)) for word in words)
    done = _evaluate(tmp_path / "scores", f"restored={enlarged}", *given)
    assert done.code != 0
    assert said in done.err


@pytest.mark.long
def test_several_sets_have_a_sub_folder_each(clean: Path, enlarged: Path, tmp_path: Path) -> None:
    other = shutil.copytree(clean, tmp_path / "other")
    both = (f"sets=[{clean},{other}]", "protocol=sr_y", "scale=3", f"restored={tmp_path}/rival")
    shutil.copytree(enlarged, tmp_path / "rival/clean")
    done = _evaluate(tmp_path / "scores", *both)
    assert done.code != 0
    assert "there is no" in done.err
    shutil.copytree(enlarged, tmp_path / "rival/other")
    done = _evaluate(tmp_path / "scores", *both)
    assert done.code == 0, done.err
