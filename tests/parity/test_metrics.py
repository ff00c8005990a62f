"""Scores against scikit-image, image by image."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from src.metrics.psnr import psnr
from src.metrics.ssim import ssim

pytestmark = pytest.mark.parity

TOLERANCE_DB = 5e-6  # torchmetrics takes the logarithm of 10 in float32


def _images(channels: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(3, channels, 33, 41, generator=generator, dtype=torch.float64)
    noise = torch.randn(target.shape, generator=generator, dtype=torch.float64)
    sigma = torch.tensor([0.01, 0.05, 0.2]).view(3, 1, 1, 1)
    return (target + sigma * noise).clamp(0, 1), target


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_of_each_image_is_that_of_scikit_image(channels: int) -> None:
    restored, target = _images(channels)
    pairs = zip(target.numpy(), restored.numpy(), strict=True)
    expected = [peak_signal_noise_ratio(one, other, data_range=1) for one, other in pairs]
    assert psnr(restored, target).numpy() == pytest.approx(np.array(expected), abs=TOLERANCE_DB)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_of_each_image_is_wangs(channels: int) -> None:
    restored, target = _images(channels)
    expected = [
        structural_similarity(
            one,
            other,
            data_range=1,
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for one, other in zip(target.numpy(), restored.numpy(), strict=True)
    ]
    assert ssim(restored, target).numpy() == pytest.approx(np.array(expected), abs=1e-6)


def test_the_mean_of_scores_is_not_the_score_of_the_pooled_error() -> None:
    restored, target = _images(3)
    pooled = -10 * torch.log10((restored - target).square().mean())
    assert float(psnr(restored, target).mean() - pooled) > 3  # dB
