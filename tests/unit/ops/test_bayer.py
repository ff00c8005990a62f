"""Bayer mosaics of all four phases, zero-filled and packed."""

import pytest
import torch

from src.data.datasets.sample_photos import SamplePhotos
from src.data.image_io import to_tensor
from src.ops.bayer import (
    PHASES,
    Phase,
    bayer_mask,
    greens_apart,
    mosaic,
    phase_of,
)


def _image(height: int = 6, width: int = 8) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0)) + 0.1


@pytest.mark.parametrize("phase", PHASES)
def test_each_pixel_keeps_the_colour_that_the_phase_names(phase: Phase) -> None:
    image = _image(5, 7)  # odd on purpose
    result = mosaic(image, phase)
    for row in range(5):
        for column in range(7):
            kept = "rgb".index(phase[2 * (row % 2) + column % 2])
            for channel in range(3):
                expected = image[:, channel, row, column] if channel == kept else torch.zeros(2)
                assert torch.equal(result[:, channel, row, column], expected)


def test_grbg_has_green_in_the_corner_red_beside_and_blue_below() -> None:
    mask = bayer_mask("grbg", 2, 2)
    assert mask.tolist() == [[[0, 1], [0, 0]], [[1, 0], [0, 1]], [[0, 0], [1, 0]]]


def test_a_crop_or_a_flip_by_one_pixel_changes_the_phase() -> None:
    image = _image()
    assert torch.equal(mosaic(image, "grbg")[..., 1:], mosaic(image[..., 1:], "rggb"))
    assert torch.equal(mosaic(image, "grbg")[..., 1:, :], mosaic(image[..., 1:, :], "bggr"))
    assert torch.equal(mosaic(image, "grbg").flip(-1), mosaic(image.flip(-1), "rggb"))
    turned = mosaic(image, "grbg").transpose(-2, -1)
    assert torch.equal(turned, mosaic(image.transpose(-2, -1), "gbrg"))


@pytest.mark.parametrize("phase", PHASES)
def test_the_phase_of_a_zero_filled_mosaic_is_seen(phase: Phase) -> None:
    mosaiced = mosaic(_image(7, 9), phase)
    assert phase_of(mosaiced) == phase
    assert phase_of(mosaiced + 1e-4) == phase  # what a lossy file leaves
    assert phase_of(_image(7, 9)) is None


@pytest.mark.parametrize("key", ["coffee", "raccoon", "rocket"])
def test_greens_of_photographs_are_near_each_other_where_the_phase_is_right(key: str) -> None:
    photograph = to_tensor(SamplePhotos("train").items()[key].load(3))[None, :, 1:, :]
    raw = mosaic(photograph, "grbg").sum(dim=1, keepdim=True)
    assert greens_apart(raw, "grbg") < 0.6
    assert greens_apart(raw, "rggb") > 1.7
    grey = photograph.mean(dim=1, keepdim=True)
    assert 0.65 < greens_apart(grey, "grbg") < 1.5
