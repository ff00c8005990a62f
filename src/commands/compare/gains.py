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
    error: float  # standard error of the mean
    freedom: float  # degrees of freedom of that: of few seeds it is known badly
    p: float  # two-sided, of this comparison alone
    effect: float  # mean over deviation, of the images' differences averaged over seeds


def gain(differences: NDArray[np.float64]) -> Gain:
    """Return mean, interval and chance of differences, (seeds, images).

    Seeds and images are drawn anew independently of each other, since every seed has scored the
    same images: one that suits a block suits it in all seeds. A resample of n varies less than what
    it is drawn from, by (n - 1) / n, and how much three seeds vary is itself known badly: so
    deviations are enlarged, and spread as Student's t of Satterthwaite's degrees of freedom (1946).
    Of one seed only images are drawn, and the interval says nothing of other trainings.
    """
    seeds, images = differences.shape
    mean, by_seed = float(differences.mean()), tuple(differences.mean(axis=1).tolist())
    if images < FEWEST_IMAGES:
        return Gain(seeds, images, mean, by_seed, *[math.nan] * 6)
    error, freedom = _uncertainty(differences)
    deviations = _resampled(differences) - mean
    spread_drawn = float(deviations.std())
    if spread_drawn > abs(mean) * 1e-12:
        deviations *= error / spread_drawn
    random = np.random.default_rng(1)
    deviations *= np.sqrt(freedom / random.chisquare(freedom, RESAMPLES))
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(deviations, [tail, 100 - tail])
    further = np.count_nonzero(np.abs(deviations) >= abs(mean))
    spread = float(differences.mean(axis=0).std(ddof=1))
    return Gain(
        seeds,
        images,
        mean,
        by_seed,
        mean + float(low),
        mean + float(high),
        error,
        freedom,
        (1 + further) / (1 + RESAMPLES),
        mean / spread if spread > abs(mean) * 1e-12 else math.nan,
    )


def _resampled(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of resamples of seeds and images."""
    random = np.random.default_rng(0)
    # how often each was drawn: the mean of a resample is a product with both
    rows, columns = (
        random.multinomial(count, [1 / count] * count, RESAMPLES) / count
        for count in differences.shape
    )
    means: NDArray[np.float64] = np.einsum("bs,si,bi->b", rows, differences, columns)
    return means


def _uncertainty(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Return the standard error of the mean over seeds and images, and its degrees of freedom."""
    parts = [  # of seeds and of images: the variance of a mean, and how freely it was measured
        (float(differences.mean(axis=1 - axis).var(ddof=1)) / count, count - 1)
        for axis, count in enumerate(differences.shape)
        if count > 1
    ]
    variance = sum(part for part, _ in parts)
    doubt = sum(part**2 / free for part, free in parts)
    return math.sqrt(variance), variance**2 / doubt if doubt else float(parts[-1][1])


def holm(chances: Sequence[float]) -> list[float]:
    """Return each p of comparisons made together, corrected after Holm; NaN is none of them."""
    known = sorted((p, index) for index, p in enumerate(chances) if not math.isnan(p))
    corrected, least = [math.nan] * len(chances), 0.0
    for rank, (p, index) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * p))
        corrected[index] = least
    return corrected


def visible(error: float, freedom: float, comparisons: int) -> float:
    """Return the smallest true difference that about 4 of 5 repetitions would have shown.

    ``error`` is its standard error, known with so many degrees of ``freedom``; it is to pass the
    strictest step of Holm of ``comparisons``.
    """
    least = stats.t.ppf(1 - (1 - CONFIDENCE) / (2 * max(comparisons, 1)), freedom)
    return float(error * (least + stats.t.ppf(POWER, freedom)))
