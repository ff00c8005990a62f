"""`exemplar denoise photo.jpg`: restored beside the photograph, with a network that comes along."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from PIL import Image

from src.__main__ import main, predict_words
from src.app.config.typed import as_meant
from src.core.paths import ROOT
from src.data.datasets.sample_photos import SamplePhotos
from src.weights.zoo import zoo_names
from tests.support.runs import command


def _clean() -> np.ndarray:
    """Return a part of a photograph that no network has been trained on, uint8 (96, 120, 3)."""
    return SamplePhotos("val").items()["astronaut"].load(3)[100:196, 150:270]


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """Write two noisy photographs, one as JPEG, and return their folder."""
    folder = tmp_path / "my photos"
    folder.mkdir()
    noise = np.random.default_rng(0).normal(0, 25, _clean().shape)
    image = Image.fromarray((_clean() + noise).clip(0, 255).round().astype(np.uint8))
    image.save(folder / "a.png")
    image.save(folder / "b.jpg", quality=98)
    return folder


def _psnr(path: Path) -> float:
    with Image.open(path) as image:
        error = np.asarray(image.convert("RGB"), float) - _clean()
    return float(10 * np.log10(255**2 / np.mean(error**2)))


@pytest.mark.long
def test_a_noisy_photograph_is_restored_beside_itself(noisy: Path) -> None:
    done = command("predict", "task=denoise", f"input=['{noisy}/a.png','{noisy}/b.jpg']")
    assert done.code == 0, done.err
    for name, result in (("a.png", "a_denoised.png"), ("b.jpg", "b_denoised.jpg")):
        assert _psnr(noisy / result) > _psnr(noisy / name) + 5


@pytest.mark.long
def test_results_of_an_earlier_start_are_not_restored_again(noisy: Path) -> None:
    words = ("predict", "task=denoise", f"input='{noisy}'", "compare=true", "format=webp")
    first, second = command(*words), command(*words)
    assert (first.code, second.code) == (0, 0)
    assert "2 of 2 results are there already" in second.err
    results = {f"{name}_denoised.webp{also}" for name in "ab" for also in ("", ".compare.png")}
    assert {file.name for file in noisy.iterdir()} == {"a.png", "b.jpg", *results}


@pytest.mark.long
def test_a_file_that_is_asked_for_by_name_and_is_there_is_an_error(noisy: Path) -> None:
    words = ("predict", "task=denoise", f"input='{noisy}/a.png'", f"output='{noisy}/b.jpg'")
    before = (noisy / "b.jpg").read_bytes()
    done = command(*words)
    assert done.code == 1
    assert "b.jpg exists already (in all 1 of 1); set existing=skip, existing=overwrite" in done.err
    assert (noisy / "b.jpg").read_bytes() == before
    assert command(*words, "existing=skip").code == 0
    assert command(*words, "existing=overwrite").code == 0
    assert (noisy / "b.jpg").read_bytes() != before


@pytest.mark.long
def test_one_image_may_name_its_result_and_several_may_not(noisy: Path, tmp_path: Path) -> None:
    result = tmp_path / "result.webp"
    done = command("predict", "task=denoise", f"input='{noisy}/a.png'", f"output='{result}'")
    assert done.code == 0, done.err
    with Image.open(result) as image:
        assert image.format == "WEBP"
    refused = command("predict", "task=denoise", f"input='{noisy}'", f"output='{result}'")
    assert refused.code == 2
    assert "looks like an image, and there are 2" in refused.err


@pytest.mark.long
def test_a_stream_goes_through_and_is_what_the_file_becomes(noisy: Path) -> None:
    typed = [sys.executable, "-m", "src", "denoise", "-", "--output", "-"]
    content = (noisy / "a.png").read_bytes()
    done = subprocess.run(typed, cwd=ROOT, input=content, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    command("predict", "task=denoise", f"input='{noisy}/a.png'")
    assert done.stdout == (noisy / "a_denoised.png").read_bytes()


def test_a_stream_is_one_image_so_a_comparison_does_not_go_into_it() -> None:
    done = command("predict", "task=denoise", "input='-'", "output='-'", "compare=true")
    assert done.code == 2
    assert "compare=true makes a second image" in done.err


def test_a_network_that_does_not_come_along_is_refused_with_those_that_do(noisy: Path) -> None:
    done = command("predict", "task=super_resolution", "scale=7", f"input='{noisy}'")
    assert done.code == 1
    assert all((name in done.err) == ("super_resolution" in name) for name in zoo_names())


@pytest.mark.parametrize("scale", ["5", "abc", ""])
def test_upscale_says_which_scales_there_are(
    noisy: Path, scale: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["exemplar", "upscale", f"{noisy}/a.png", "--scale", scale])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert f"--scale {scale}: upscale takes 2, 3, 4." in capsys.readouterr().err


def test_a_phase_is_of_a_mosaic(noisy: Path) -> None:
    done = command("predict", "task=denoise", f"input='{noisy}/a.png'", "phase=rggb")
    assert done.code == 2
    assert "does not demosaic; leave phase=… out" in done.err


def test_a_reference_to_nothing_is_no_fault_of_the_program(noisy: Path) -> None:
    done = command("predict", "task=denoise", "input=${x}.png", f"output='{noisy}/o'")
    assert done.code == 2
    assert "input cannot be worked out: Interpolation key 'x' not found" in done.err


@pytest.mark.long
def test_a_closed_standard_output_takes_no_result(noisy: Path) -> None:
    typed = [sys.executable, "-m", "src", "denoise", "-", "--output", "-"]
    closing, content = ["sh", "-c", '"$@" >&-', "sh"], (noisy / "a.png").read_bytes()
    done = subprocess.run(
        [*closing, *typed], cwd=ROOT, input=content, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert "standard output is closed" in done.stderr.decode()


@pytest.mark.long
def test_a_comparison_is_no_photograph_to_restore(noisy: Path, tmp_path: Path) -> None:
    assert command("predict", "task=denoise", f"input='{noisy}/a.png'", "compare=true").code == 0
    done = command("predict", "task=denoise", f"input='{noisy}/*.png'", f"output='{tmp_path}/o'")
    assert done.code == 0, done.err
    names = sorted(file.name for file in (tmp_path / "o").iterdir())
    assert "a.png" in names
    assert not [name for name in names if "compare" in name]


def test_images_go_through_one_network() -> None:
    done = command("predict", "checkpoint=[a,b]", "input=a.png")
    assert done.code == 2
    assert "images go through one network" in done.err


@pytest.mark.parametrize("here", [True, False])
def test_any_name_of_a_file_reaches_the_network(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    here: bool,
) -> None:
    """Hydra's grammar has quotes, escapes and interpolations; a file's name has none of them."""
    names = [
        r"a\'b.png",
        "${x}.png",
        r"\${x}.png",
        "~.png",
        "[x].png",
        "q'\".png",
        "a\\",
        "a=b,c.png",
    ]
    words = predict_words("denoise", names, [])
    monkeypatch.chdir(tmp_path if here else ROOT)
    (word,) = (one for one in as_meant(words) if one.startswith("input="))
    parsed = OverridesParser.create().parse_override(word).value()
    read = [str(one) for one in OmegaConf.create({"input": parsed}).input]
    assert read == [str(tmp_path / name) if here else name for name in names]


def test_a_name_that_the_system_refuses_is_no_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["exemplar", "denoise", "a" * 300 + ".png", "b" * 300 + "=1"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "there is no such file or folder" in capsys.readouterr().err
