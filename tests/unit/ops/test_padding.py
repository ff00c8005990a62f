"""Padding by index is the padding by mirroring, and cutting undoes it."""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from src.ops.padding import cut, mirror_to_multiple, pad_to_multiple


@pytest.mark.parametrize("size", [(8, 12), (9, 12), (11, 13), (16, 17)])
def test_mirroring_by_index_equals_mirroring_by_padding(size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size)
    mirrored = mirror_to_multiple(image, 4)
    assert torch.equal(mirrored, pad_to_multiple(image, 4))
    height, width = (-side % 4 for side in size)
    assert torch.equal(mirrored, F.pad(image, (0, width, 0, height), mode="reflect"))
    assert torch.equal(cut(mirrored, *size), image)


def test_an_image_too_small_for_mirroring_is_extended_all_the_same() -> None:
    assert mirror_to_multiple(torch.rand(1, 1, 2, 3), 8).shape == (1, 1, 8, 8)
