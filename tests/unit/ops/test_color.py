"""Luma with the constants of MATLAB's rgb2ycbcr."""

from fractions import Fraction

import pytest
import torch

from src.ops.color import luma, luma8


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
