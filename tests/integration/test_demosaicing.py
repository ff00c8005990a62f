"""Mosaics of files through a trained network, with the real commands."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.data.datasets.sample_photos import SamplePhotos
from src.data.image_io import read_image, to_image, to_tensor
from src.ops.bayer import Phase, mosaic
from tests.support.images import write
from tests.support.runs import command, train_tiny


@pytest.fixture(scope="module")
def trained_to_demosaic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demosaic") / "run"
    train_tiny(folder, "task=demosaic")
    return folder


def _mosaics(folder: Path, phase: Phase) -> Path:
    """Write one photograph's mosaic twice: of one channel, and zero-filled."""
    photograph = to_tensor(SamplePhotos("train").items()["coffee"].load(3))[None, :, :64, :96]
    filled = mosaic(photograph, phase)
    write(folder / "raw.png", to_image(filled.sum(dim=1))[..., :1])
    write(folder / "filled.png", to_image(filled[0]))
    return folder


@pytest.mark.long
def test_a_mosaic_of_one_channel_gives_the_picture_of_the_zero_filled_one(
    trained_to_demosaic: Path, tmp_path: Path
) -> None:
    photos = _mosaics(tmp_path / "in", "rggb")
    words = (f"checkpoint={trained_to_demosaic}", f"input={photos}", f"output={tmp_path / 'out'}")
    done = command("predict", *words, "phase=rggb", "device=cpu")
    assert done.code == 0, done.err
    with Image.open(tmp_path / "out/raw.png") as image:
        assert image.mode == "RGB"
    pixels = [read_image(tmp_path / f"out/{name}.png", channels=3) for name in ("raw", "filled")]
    assert np.array_equal(*pixels)
    assert "greens" not in done.out + done.err


@pytest.mark.long
def test_a_phase_that_cannot_be_is_warned_of(trained_to_demosaic: Path, tmp_path: Path) -> None:
    photos = _mosaics(tmp_path / "in", "rggb")
    words = (f"checkpoint={trained_to_demosaic}", f"input={photos}", f"output={tmp_path / 'out'}")
    done = command("predict", *words, "device=cpu")  # grbg, as in evaluation
    assert done.code == 0, done.err
    assert "its greens are not where phase=grbg has them" in done.out + done.err
    refused = command("predict", *words, "phase=rgb", "existing=overwrite", "device=cpu")
    assert refused.code == 2
    assert "Did you mean" in refused.err


@pytest.mark.long
def test_the_phases_of_an_evaluation_are_conditions(
    trained_to_demosaic: Path, tmp_path: Path
) -> None:
    words = (f"checkpoint={trained_to_demosaic}", "phase=[grbg,rggb]", f"output={tmp_path}")
    done = command("evaluate", *words, "device=cpu", "images=false")
    assert done.code == 0, done.err
    assert {folder.name for folder in tmp_path.iterdir() if folder.is_dir()} == {
        "phase_grbg",
        "phase_rggb",
    }
