"""Luma with the constants of MATLAB's rgb2ycbcr; Bayer mosaics of all four phases."""

from fractions import Fraction

import pytest
import torch

from src.ops.color import PHASES, Phase, bayer_mask, luma, luma8, mosaic


@pytest.mark.parametrize(
    ("rgb", "level"),
    [((0, 0, 0), 16), ((255, 255, 255), 235), ((255, 0, 0), 81), ((0, 255, 0), 145),
     ((0, 0, 255), 41), ((128, 128, 128), 126)],
)  # fmt: skip
def test_8bit_luma_of_known_colours(rgb: tuple[int, int, int], level: int) -> None:
    image = torch.tensor(rgb, dtype=torch.uint8).view(1, 3, 1, 1)
    assert int(luma8(image)) == level


def test_8bit_luma_is_the_exact_sum_rounded_half_up() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (2, 3, 9, 7), generator=generator, dtype=torch.uint8)
    ours = luma8(image)
    for index in ((0, 0, 0), (1, 8, 6), (0, 4, 5), (1, 2, 3)):
        b, y, x = index
        red, green, blue = (int(value) for value in image[b, :, y, x])
        total = 65481 * red + 128553 * green + 24966 * blue
        exact = 16 + Fraction(total, 255_000)
        assert int(ours[b, 0, y, x]) == int(exact + Fraction(1, 2))
    assert (ours.double() - luma(image.double() / 255) * 255).abs().max() <= 0.5 + 1e-9


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
