"""Noise of both conventions in training, of the protocol's in evaluation."""

import pytest
import torch

from src.core.seeding import generator_for
from src.degradations.gaussian import EitherGaussianNoise, GaussianNoise


def test_about_half_of_the_training_images_are_8_bit_files() -> None:
    clean = torch.full((400, 3, 4, 4), 0.5)
    noisy = EitherGaussianNoise((50, 50)).train()(clean, generator_for("cpu", "either"))
    steps = noisy * 255
    filed = ((steps - steps.round()).abs() < 1e-3).flatten(1).all(1)
    assert 160 < int(filed.sum()) < 240  # 200 expected, sigma 10
    assert noisy[~filed].flatten(1).std(1).mean() * 255 == pytest.approx(50, rel=0.02)


@pytest.mark.parametrize("clip8", [False, True])
def test_evaluation_is_that_of_the_protocol(clip8: bool) -> None:
    clean = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    either, plain = (
        kind((0, 75), clip8=clip8).eval() for kind in (EitherGaussianNoise, GaussianNoise)
    )
    expected = plain(clean, generator_for("cpu", "same"))
    assert torch.equal(either(clean, generator_for("cpu", "same")), expected)


def test_a_share_of_the_training_images_has_the_noise_of_a_grey_one() -> None:
    clean = torch.full((400, 3, 4, 4), 0.5)
    noisy = EitherGaussianNoise((50, 50), grey=0.2).train()(clean, generator_for("cpu", "grey"))
    grey = (noisy[:, 0] == noisy[:, 1]).flatten(1).all(1)
    assert 50 < int(grey.sum()) < 110  # 80 expected, sigma 8
    assert noisy[grey][:, 0].std() * 255 == pytest.approx(50, rel=0.05)


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match="share from 0 to 1"):
        EitherGaussianNoise((50, 50), grey=20)
