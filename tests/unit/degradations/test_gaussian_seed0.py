"""The noise pattern that published denoisers are evaluated with."""

import numpy as np
import pytest
import torch

from src.degradations.gaussian_seed0 import SharedGaussianNoise


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
