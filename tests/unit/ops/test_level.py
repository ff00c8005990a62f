import io

import numpy as np
import pytest
import torch
from PIL import Image

from src.data.datasets.sample_photos import FOLDER
from src.data.image_io import read_image, to_tensor
from src.ops.level import estimate_sigma, jpeg_quality
from tests.support.images import pixels


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sigma", [5, 15, 25, 50])
def test_the_noise_of_a_photograph_is_estimated(sigma: int, channels: int) -> None:
    file = sorted(FOLDER.glob("chelsea*"))[0]
    clean = to_tensor(read_image(file, channels=channels))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    noisy = clean + noise * sigma / 255
    seen = (noisy.clamp(0, 1) * 255).round() / 255
    assert estimate_sigma(seen) == pytest.approx(sigma, rel=0.1, abs=0.5)


def test_an_image_of_few_pixels_tells_nothing() -> None:
    assert estimate_sigma(torch.zeros(3, 9, 40)) is None
    assert estimate_sigma(torch.zeros(1, 4, 4)) is None


def test_a_flat_image_has_no_noise() -> None:
    assert estimate_sigma(torch.full((1, 64, 64), 0.5)) == 0


@pytest.mark.parametrize("colour", [False, True])
def test_each_quality_that_pillow_writes_is_read_back(colour: bool) -> None:
    image = Image.fromarray(pixels() if colour else pixels(channels=1)[..., 0])
    for quality in range(1, 101):
        file = io.BytesIO()
        image.save(file, format="JPEG", quality=quality)
        with Image.open(file) as written:
            assert jpeg_quality(written.quantization) == quality  # type: ignore[attr-defined]


def test_tables_that_libjpeg_does_not_make_get_the_nearest_quality() -> None:
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, format="JPEG", quality=50)
    with Image.open(file) as written:
        tables = {0: [value + 1 for value in written.quantization[0]]}  # type: ignore[attr-defined]
    assert jpeg_quality(tables) in range(45, 51)
    assert np.ptp(tables[0]) > 0
