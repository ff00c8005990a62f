"""Our operators beside kornia's: equal where they mean the same, and how far apart where not."""

import kornia
import pytest
import torch
from kornia.color import CFA

from src.ops.bayer import Phase, mosaic
from src.ops.color import luma
from src.ops.pillow import jpeg
from src.ops.resize import downscale

pytestmark = pytest.mark.parity


def _smooth(height: int = 48, width: int = 64) -> torch.Tensor:
    rows, columns = torch.linspace(0, 9, height), torch.linspace(0, 7, width)
    waves = [torch.sin(rows * k)[:, None] * torch.cos(columns * k)[None] for k in (1.0, 1.7, 2.3)]
    return (((torch.stack(waves)[None] + 1) / 2) * 255).round() / 255


@pytest.mark.parametrize(
    ("phase", "pattern"),
    [("rggb", CFA.BG), ("grbg", CFA.GB), ("bggr", CFA.RG), ("gbrg", CFA.GR)],
)
def test_mosaics_are_bit_exact_under_the_names_of_opencv(phase: Phase, pattern: CFA) -> None:
    image = _smooth()
    raw = kornia.color.rgb_to_raw(image, pattern)
    assert torch.equal(mosaic(image, phase).sum(dim=1, keepdim=True), raw)


def test_luma_of_kornia_is_full_range_and_not_that_of_the_papers() -> None:
    image = _smooth()
    theirs = kornia.color.rgb_to_ycbcr(image)[:, :1]
    assert float((luma(image) - theirs).abs().max() * 255) > 10
    same_range = (luma(image) * 255 - 16) / 219
    assert float((same_range - theirs).abs().max() * 255) < 0.01


def test_shrinking_by_kornia_differs_from_matlab_by_grey_levels() -> None:
    image = _smooth()
    height, width = image.shape[-2:]
    theirs = kornia.geometry.resize(
        image, (height // 2, width // 2), interpolation="bicubic", antialias=True
    )
    assert float((downscale(image, 2) - theirs).abs().max() * 255) > 1


def test_the_differentiable_jpeg_of_kornia_is_not_libjpeg() -> None:
    image = _smooth()
    theirs = kornia.enhance.jpeg_codec_differentiable(image, torch.tensor([10.0]))
    ours = jpeg(image[0], quality=10)
    assert float((theirs[0] - ours).abs().mean() * 255) > 0.5
