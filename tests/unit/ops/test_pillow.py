"""Bicubic resizing and JPEG are Pillow's, pixel for pixel."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from src.ops.pillow import Subsampling, jpeg, pillow_resize, resample_to_multiple
from tests.support.images import pixels


def _image(height: int, width: int, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, channels, height, width), generator=generator) / 255


@pytest.mark.parametrize("size", [(7, 9), (28, 36), (13, 20)])
def test_a_batch_is_resized_as_pillow_resizes_each_image(size: tuple[int, int]) -> None:
    batch = _image(14, 18)
    resized = pillow_resize(batch, size)
    for image, result in zip(batch, resized, strict=True):
        levels = (image * 255).round().byte().permute(1, 2, 0).numpy()
        whole = Image.fromarray(levels).resize(size[::-1], Image.Resampling.BICUBIC)
        assert np.array_equal((result * 255).round().byte().permute(1, 2, 0), np.array(whole))


def test_sides_are_resampled_to_multiples_and_multiples_stay() -> None:
    image = _image(14, 18)
    assert torch.equal(resample_to_multiple(image, 2), image)
    assert torch.equal(resample_to_multiple(image, 4), pillow_resize(image, (12, 16)))


def test_an_image_smaller_than_the_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="14×2 px is too small for scale 3"):
        resample_to_multiple(_image(2, 14), 3)


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
