"""PSNR-B and uniform SSIM against loops written from the papers."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from src.metrics.psnr import psnr_b
from src.metrics.ssim import ssim_uniform

pytestmark = pytest.mark.parity


def _images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 2, 24, 19, generator=generator, dtype=torch.float64)
    blocks = torch.rand(2, 2, 3, 3, generator=generator, dtype=torch.float64)
    steps = blocks.repeat_interleave(8, -2).repeat_interleave(8, -1)[..., :24, :19]
    return (0.6 * steps + 0.3 * target), target


def _psnr_b(restored: np.ndarray, target: np.ndarray) -> float:
    """Return the PSNR-B of one channel (Yim and Bovik, 2011, eq. 14 to 20), step by step."""
    height, width = target.shape
    at_border, elsewhere = [], []
    for row in range(height):
        for column in range(width):
            for down, right in ((0, 1), (1, 0)):
                if row + down < height and column + right < width:
                    step = (restored[row, column] - restored[row + down, column + right]) ** 2
                    crosses = (column + 1) % 8 == 0 if right else (row + 1) % 8 == 0
                    (at_border if crosses else elsewhere).append(step)
    blocking = np.mean(at_border) - np.mean(elsewhere)
    factor = math.log2(8) / math.log2(min(height, width)) if blocking > 0 else 0
    return float(-10 * np.log10(np.mean((restored - target) ** 2) + factor * blocking))


def test_psnr_b_of_each_image_is_that_of_the_loop() -> None:
    restored, target = _images()
    pairs = zip(restored.numpy(), target.numpy(), strict=True)
    expected = [np.mean([_psnr_b(*pair) for pair in zip(*images, strict=True)]) for images in pairs]
    assert psnr_b(restored, target).numpy() == pytest.approx(np.array(expected), abs=1e-9)


def test_without_blocking_psnr_b_is_psnr() -> None:
    flat = torch.full((1, 2, 24, 19), 0.5, dtype=torch.float64)
    assert psnr_b(flat, flat + 0.1).numpy() == pytest.approx(20)


def _ssim(restored: np.ndarray, target: np.ndarray) -> float:
    """Return the mean over all 8×8 windows of one channel (Wang et al., 2004, eq. 13)."""
    height, width = target.shape
    values = []
    for top in range(height - 7):
        for left in range(width - 7):
            x, y = (image[top : top + 8, left : left + 8] for image in (restored, target))
            covariance = np.mean((x - x.mean()) * (y - y.mean()))
            upper = (2 * x.mean() * y.mean() + 0.01**2) * (2 * covariance + 0.03**2)
            lower = (x.mean() ** 2 + y.mean() ** 2 + 0.01**2) * (x.var() + y.var() + 0.03**2)
            values.append(upper / lower)
    return float(np.mean(values))


def test_uniform_ssim_of_each_image_is_that_of_the_loop() -> None:
    restored, target = _images()
    pairs = zip(restored.numpy(), target.numpy(), strict=True)
    expected = [np.mean([_ssim(*pair) for pair in zip(*images, strict=True)]) for images in pairs]
    assert ssim_uniform(restored, target).numpy() == pytest.approx(np.array(expected), abs=1e-9)


@pytest.mark.parametrize("metric", [psnr_b, ssim_uniform])
def test_images_without_a_window_are_refused(metric: object) -> None:
    assert callable(metric)
    with pytest.raises(ValueError, match="pixels"):
        metric(torch.rand(1, 1, 7, 40), torch.rand(1, 1, 7, 40))
