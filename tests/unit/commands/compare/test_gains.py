"""Gains over a reference, on made-up differences whose answers are known."""

import math

import numpy as np
import pytest

from src.commands.compare.gains import RESAMPLES, gain, holm, visible


def test_equal_differences_are_a_gain_without_doubt() -> None:
    one = gain(np.full((1, 20), 0.5))
    assert (one.seeds, one.images, one.mean) == (1, 20, 0.5)
    assert (one.low, one.high, one.error) == pytest.approx((0.5, 0.5, 0))
    assert one.p == 1 / (RESAMPLES + 1)
    assert math.isnan(one.effect)  # they do not vary


def test_no_difference_is_no_gain() -> None:
    one = gain(np.zeros((2, 20)))
    assert (one.mean, one.low, one.high, one.p) == (0, 0, 0, 1)


def test_one_seed_varies_by_its_images_alone() -> None:
    values = np.random.default_rng(1).normal(0.1, 1, (1, 25))
    one = gain(values)
    assert one.error == pytest.approx(values.std(ddof=1) / 5)
    assert one.freedom == pytest.approx(24)
    assert one.effect == pytest.approx(values.mean() / values.std(ddof=1))
    assert one.low < one.mean < one.high


def test_an_image_counts_once_however_many_seeds_have_scored_it() -> None:
    images = np.random.default_rng(2).normal(0, 1, 30)
    one, thrice = gain(images[None]), gain(np.stack([images] * 3))
    assert thrice.error == pytest.approx(one.error)


def test_seeds_and_images_both_make_it_uncertain() -> None:
    random = np.random.default_rng(3)
    seeds, images = random.normal(0, 1, (4, 1)), random.normal(0, 1, (1, 20))
    one = gain(seeds + images)
    parts = seeds.std(ddof=1) / 4**0.5, images.std(ddof=1) / 20**0.5
    assert one.error == pytest.approx(math.hypot(*parts))
    assert 3 < one.freedom < 22


@pytest.mark.long
def test_the_interval_has_the_true_gain_in_it_as_often_as_20_images_allow() -> None:
    random = np.random.default_rng(4)
    gains = [gain(random.normal(0.3, 1, (1, 20))) for _ in range(400)]
    share = sum(one.low <= 0.3 <= one.high for one in gains) / len(gains)
    assert 0.89 < share < 0.97


@pytest.mark.long
@pytest.mark.parametrize(("seeds", "often"), [(2, 0.13), (3, 0.08), (5, 0.08)])
def test_few_seeds_show_a_gain_where_there_is_none_hardly_oftener_than_p_says(
    seeds: int, often: float
) -> None:
    """Resamples alone found one in 24 of 100 pairs of seeds, and in 15 of 100 triples."""
    random = np.random.default_rng(6)

    def null() -> float:
        of_seeds, of_images = random.normal(0, 0.15, (seeds, 1)), random.normal(0, 0.25, (1, 20))
        return gain(of_seeds + of_images + random.normal(0, 0.1, (seeds, 20))).p

    chances = np.array([null() for _ in range(500)])
    assert np.mean(chances < 0.05) < often
    assert np.mean(chances < 0.01) < often / 2


@pytest.mark.parametrize("images", [1, 2, 5])
def test_few_images_have_a_gain_and_nothing_more(images: int) -> None:
    """Two that agree would have an interval of nothing, and a p of 1 in 10,000."""
    one = gain(np.array([[0.2, 0.2, 0.1, 0.3, 0.2][:images]]))
    assert one.mean == pytest.approx(0.2)
    assert one.by_seed == (one.mean,)
    assert all(math.isnan(value) for value in (one.low, one.high, one.error, one.p, one.effect))


def test_holm_corrects_as_the_textbook_does() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1, 1]
    assert holm([0.02, math.nan]) == pytest.approx([0.02, math.nan], nan_ok=True)
    assert holm([]) == []


def test_what_is_visible_is_seen_in_four_of_five_repetitions() -> None:
    assert visible(1.0, 1e9, 1) == pytest.approx(1.95996 + 0.84162, abs=1e-4)
    assert visible(1.0, 4, 1) == pytest.approx(2.77645 + 0.94096, abs=1e-4)
    measured = np.random.default_rng(5).normal(visible(0.1, 1e9, 10), 0.1, 100_000)
    assert np.mean(np.abs(measured) / 0.1 > 2.80703) == pytest.approx(0.8, abs=0.01)  # 0.05 / 10
