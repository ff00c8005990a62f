"""JPEG is Pillow's, pixel for pixel."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from src.ops.jpeg import Subsampling, jpeg
from tests.support.images import pixels


@pytest.mark.parametrize("quality", [10, 40, 95])
def test_one_channel_equals_a_grey_file(quality: int) -> None:
    grey = pixels(20, 29, 1)
    file = io.BytesIO()
    Image.fromarray(grey[..., 0]).save(file, "JPEG", quality=quality)
    expected = np.array(Image.open(file))
    image = torch.from_numpy(grey).permute(2, 0, 1).float() / 255
    ours = jpeg(image, quality=quality)
    assert ours.shape == image.shape
    assert np.array_equal((ours[0] * 255).round().numpy(), expected)


@pytest.mark.parametrize(("subsampling", "code"), [("4:4:4", 0), ("4:2:2", 1), ("4:2:0", 2)])
def test_colour_equals_a_file_of_that_subsampling(subsampling: Subsampling, code: int) -> None:
    colour = pixels(17, 24)
    file = io.BytesIO()
    Image.fromarray(colour).save(file, "JPEG", quality=30, subsampling=code)
    expected = np.array(Image.open(file))
    image = torch.from_numpy(colour).permute(2, 0, 1).float() / 255
    ours = jpeg(image, quality=30, subsampling=subsampling)
    assert np.array_equal((ours * 255).round().permute(1, 2, 0).numpy(), expected)
