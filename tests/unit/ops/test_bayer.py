"""Bayer mosaics of all four phases, zero-filled and packed."""

import pytest
import torch

from src.ops.bayer import PHASES, Phase, bayer_mask, mosaic, pack, unpack


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
def test_packing_can_be_undone(phase: Phase) -> None:
    mosaiced = mosaic(_image(), phase)
    packed = pack(mosaiced)
    assert packed.shape == (2, 4, 3, 4)
    assert torch.equal(packed[:, 1], mosaiced.sum(dim=1)[:, 0::2, 1::2])
    assert torch.equal(unpack(packed, phase), mosaiced)
