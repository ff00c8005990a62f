"""Gaussian noise: its statistics, its two conventions, and the one pattern of published tables."""

import numpy as np
import pytest
import torch
from torch import Tensor

from src.degradations.gaussian import GaussianNoise, SharedGaussianNoise


def _noise(sigma: tuple[float, float], *, clip8: bool = False, seed: int = 0) -> Tensor:
    clean = torch.full((2, 3, 200, 210), 0.5)
    noisy: Tensor = GaussianNoise(sigma, clip8=clip8)(clean, torch.Generator().manual_seed(seed))
    return (noisy - clean) * 255


@pytest.mark.parametrize("sigma", [5, 25, 50])
def test_noise_has_the_asked_standard_deviation_and_no_mean(sigma: int) -> None:
    noise = _noise((sigma, sigma))
    assert float(noise.std()) == pytest.approx(sigma, rel=0.01)
    assert abs(float(noise.mean())) < 0.01 * sigma


def test_channels_and_images_are_independent() -> None:
    noise = _noise((25, 25)).flatten(2).flatten(0, 1)
    correlation = torch.corrcoef(noise) - torch.eye(6)
    assert float(correlation.abs().max()) < 0.02


def test_clip8_gives_whole_levels_within_range() -> None:
    clean = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(1))
    noisy = GaussianNoise((70, 70), clip8=True)(clean, torch.Generator().manual_seed(0))
    levels = noisy * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert float(noisy.min()) == 0
    assert float(noisy.max()) == 1


def test_without_clip8_values_leave_the_range() -> None:
    noisy = GaussianNoise((50, 50), clip8=False)(torch.ones(1, 3, 9, 9), torch.Generator())
    assert float(noisy.max()) > 1


def test_the_same_generator_gives_the_same_noise_and_another_does_not() -> None:
    assert torch.equal(_noise((25, 25)), _noise((25, 25)))
    assert not torch.equal(_noise((25, 25)), _noise((25, 25), seed=1))


def test_blind_noise_has_one_level_an_image_within_the_range() -> None:
    clean = torch.full((200, 1, 40, 40), 0.5)
    noise = GaussianNoise((10, 40), clip8=False)(clean, torch.Generator().manual_seed(0)) - clean
    levels = noise.flatten(1).std(dim=1) * 255
    assert float(levels.min()) > 8
    assert float(levels.max()) < 43
    assert float(levels.max() - levels.min()) > 20


@pytest.mark.parametrize("sigma", [(25.0,), (30.0, 20.0), (-1.0, 5.0), (1.0, 2.0, 3.0)])
def test_an_impossible_sigma_is_refused(sigma: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"0 <= low <= high.*write it twice"):
        GaussianNoise(sigma)


def test_in_evaluation_every_image_gets_numpys_noise_of_seed_0() -> None:
    degradation = SharedGaussianNoise([50, 50], clip8=False).eval()
    clean = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    np.random.seed(0)  # noqa: NPY002  the reference: what public test scripts do
    expected = np.random.normal(0, 50 / 255, (5, 7, 3)).transpose(2, 0, 1)  # noqa: NPY002
    for noise in degradation(clean) - clean:
        np.testing.assert_allclose(noise.numpy(), expected, atol=1e-6)


def test_in_training_noise_differs_from_image_to_image() -> None:
    clean = torch.zeros(2, 1, 6, 4)
    noisy = SharedGaussianNoise([50, 50], clip8=False)(clean, torch.Generator().manual_seed(0))
    assert not torch.equal(noisy[0], noisy[1])


def test_a_range_of_levels_is_refused_in_evaluation() -> None:
    with pytest.raises(ValueError, match="must be one level"):
        SharedGaussianNoise([0, 50]).eval()(torch.zeros(1, 1, 4, 4))
