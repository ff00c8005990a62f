"""The share of an image that occurs in it again."""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from src.ops.recurrence import recurrence


def _noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def test_a_pattern_recurs_everywhere_and_noise_or_a_flat_image_nowhere() -> None:
    assert recurrence(_noise(16, 17).repeat(1, 4, 4)) == 1
    assert recurrence(_noise(60, 70)) == 0
    assert recurrence(torch.full((3, 60, 70), 0.3)) == 0


def test_a_match_may_be_brighter_of_less_contrast_and_smaller() -> None:
    """Half of the image is smooth noise, the other half the same shrunk to 0.6 and paler."""
    rough = F.interpolate(_noise(25, 25)[None], size=(75, 75), mode="bicubic").clamp(0, 1)[0]
    small = F.interpolate(rough[None], size=(45, 45), mode="bicubic", antialias=True)[0]
    beside = torch.full((3, 75, 50), 0.5)
    apart = torch.cat([rough, beside], dim=2)
    beside[:, 10:55, 3:48] = 0.2 + 0.7 * small
    together = torch.cat([rough, beside], dim=2)
    assert recurrence(apart) < 0.1
    assert recurrence(together) > 0.2  # the small half is 0.22 of it


def test_a_grey_image_counts_as_its_colour_twin_and_a_tiny_one_is_refused() -> None:
    grey = _noise(16, 17)[:1].repeat(1, 3, 3)
    assert recurrence(grey) == recurrence(grey.expand(3, -1, -1)) == 1
    with pytest.raises(ValueError, match="too small"):
        recurrence(_noise(14, 60))
