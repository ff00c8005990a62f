"""Gains over a reference: mean, bootstrap interval, chance, and what a design could have shown."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE, POWER = 0.95, 0.8
RESAMPLES = 10_000
FEWEST_IMAGES = 6
"""Of fewer, resamples say nothing: that all differences have one sign has a chance of 2 / 2**n."""


@dataclass(frozen=True)
class Gain:
    """Paired differences of one score, averaged over seeds and images; NaN where undefined."""

    seeds: int
    images: int
    mean: float
    by_seed: tuple[float, ...]  # the mean of each
    low: float  # end of the bootstrap interval of the mean
    high: float  # the other end
    error: float  # standard error of the mean, by the same resamples
    p: float  # two-sided, of this comparison alone
    effect: float  # mean over deviation, of the images' differences averaged over seeds


def gain(differences: NDArray[np.float64]) -> Gain:
    """Return mean, interval and chance of differences, (seeds, images).

    Seeds and images are drawn anew independently of each other, since every seed has scored the
    same images: one that suits a block suits it in all seeds. Of one seed only images are drawn,
    and the interval says nothing of other trainings.
    """
    seeds, images = differences.shape
    mean, by_seed = float(differences.mean()), tuple(differences.mean(axis=1).tolist())
    if images < FEWEST_IMAGES:
        return Gain(seeds, images, mean, by_seed, *[math.nan] * 5)
    random = np.random.default_rng(0)
    # how often each was drawn: the mean of a resample is a product with both
    rows, columns = (
        random.multinomial(count, [1 / count] * count, RESAMPLES) / count
        for count in (seeds, images)
    )
    means = np.einsum("bs,si,bi->b", rows, differences, columns)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100 - tail])
    further = np.count_nonzero(np.abs(means - mean) >= abs(mean))
    spread = float(differences.mean(axis=0).std(ddof=1))
    return Gain(
        seeds,
        images,
        mean,
        by_seed,
        float(low),
        float(high),
        float(means.std()),
        (1 + further) / (1 + RESAMPLES),
        mean / spread if spread > abs(mean) * 1e-12 else math.nan,
    )


def holm(chances: Sequence[float]) -> list[float]:
    """Return each p of comparisons made together, corrected after Holm; NaN is none of them."""
    known = sorted((p, index) for index, p in enumerate(chances) if not math.isnan(p))
    corrected, least = [math.nan] * len(chances), 0.0
    for rank, (p, index) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * p))
        corrected[index] = least
    return corrected


def visible(error: float, comparisons: int) -> float:
    """Return the smallest true difference that 4 of 5 repetitions would have shown.

    ``error`` is its standard error; it is to pass the strictest step of Holm of ``comparisons``.
    """
    normal = stats.norm.ppf
    beyond = normal(1 - (1 - CONFIDENCE) / (2 * max(comparisons, 1))) + normal(POWER)
    return float(error * beyond)
