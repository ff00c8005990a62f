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


def test_a_power_draws_weak_noise_more_often_in_training_and_keeps_the_range() -> None:
    clean = torch.full((4000, 1, 1, 1), 0.5)
    noise = EitherGaussianNoise((5, 75), power=2.0).train()
    _, level = noise.with_level(clean, generator_for("cpu", "power"))
    sigma = level * 255
    assert 5 <= sigma.min() < 5.5
    assert 74 < sigma.max() <= 75
    # (σ - 5) / 70 = u²: half of the draws lie below a quarter of the range
    assert (sigma < 5 + 70 / 4).float().mean().item() == pytest.approx(0.5, abs=0.03)
    _, level = noise.eval().with_level(clean, generator_for("cpu", "power"))
    assert (level * 255 < 5 + 70 / 4).float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_one_level_stays_one_level_under_a_power() -> None:
    noise = EitherGaussianNoise((25, 25), power=3.0).train()
    _, level = noise.with_level(torch.full((3, 1, 2, 2), 0.5), generator_for("cpu", "one"))
    assert torch.equal(level, torch.full((3,), 25 / 255))


@pytest.mark.parametrize("power", [0, -1, float("inf")])
def test_a_power_that_is_none_is_refused(power: float) -> None:
    with pytest.raises(ValueError, match="positive number"):
        EitherGaussianNoise((0, 75), power=power)
