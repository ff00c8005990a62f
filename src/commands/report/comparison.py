"""Of two records, is the difference larger than chance?"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from src.commands.report.alike import refuse_unlike
from src.commands.report.records import Record
from src.core.errors import DataError

logger = logging.getLogger(__name__)

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """One metric on one image set; differences are second − first."""

    benchmark: str  # image set
    metric: str
    means: tuple[float, float]  # of the first and of the second
    differences: dict[str, float]  # of each image, by its key
    mean: float  # of the differences
    low: float  # end of the confidence interval of the mean (Student's t); NaN for a single image
    high: float  # the other end
    t_test: float  # two-sided p of the paired t-test; NaN where undefined
    wilcoxon: float  # two-sided p of Wilcoxon's signed-rank test; NaN where undefined
    higher_is_better: bool

    @property
    def verdict(self) -> str:
        """Which is better: ``first``, ``second``, or ``undecided`` where the interval holds 0."""
        if math.isnan(self.low) or self.low <= 0 <= self.high:
            return "undecided"
        return "second" if (self.mean > 0) == self.higher_is_better else "first"


def compare(first: Record, second: Record) -> list[Comparison]:
    """Return the paired comparison of two records, for each image set and metric.

    An image whose score is infinite in either record has no difference and is left out.

    Raises:
        ConfigError: If nothing says whether more or less of a score is better.
        DataError: If protocol, degradation, image sets or inputs differ, or all metrics; it says
            in what.
    """
    refuse_unlike(first, second)
    comparisons = []
    for name, board in first.benchmarks.items():
        other = second.benchmarks[name]
        for metric in _shared(name, board, other):
            pairs = {
                key: (row[metric], other["restored"][key][metric])
                for key, row in board["restored"].items()
            }
            numbers = {key: pair for key, pair in pairs.items() if None not in pair}
            if numbers:
                more = first.higher_is_better(metric)
                comparisons.append(_paired(name, metric, numbers, higher_is_better=more))
    return comparisons


def _shared(name: str, *boards: Mapping[str, Any]) -> list[str]:
    """Return the metrics that both have of an image set, and say which only one has."""
    ours, theirs = (list(next(iter(board["restored"].values()))) for board in boards)
    both = [metric for metric in ours if metric in theirs]
    if not both:
        raise DataError(f"{name}: scored by {', '.join(ours)} | {', '.join(theirs)}")
    for metric in (metric for metric in (*ours, *theirs) if metric not in both):
        logger.warning("%s: %s is in one of the two records and is not compared", name, metric)
    return both


def _paired(
    benchmark: str, metric: str, pairs: Mapping[str, Sequence[float]], *, higher_is_better: bool
) -> Comparison:
    first, second = np.array(list(pairs.values()), dtype=np.float64).T
    differences = second - first
    mean = float(differences.mean())
    low = high = t_test = wilcoxon = math.nan
    if not differences.any():
        low = high = 0.0
        t_test = wilcoxon = 1.0
    elif len(differences) > 1:
        error = stats.sem(differences)
        # equal differences have no spread: the interval is the mean itself
        low, high = stats.t.interval(CONFIDENCE, len(differences) - 1, mean, error or 1e-300)
        t_test = float(stats.ttest_1samp(differences, 0).pvalue) if error else 0.0
        wilcoxon = float(stats.wilcoxon(differences).pvalue)
    return Comparison(
        benchmark,
        metric,
        (float(first.mean()), float(second.mean())),
        dict(zip(pairs, differences.tolist(), strict=True)),
        mean,
        float(low),
        float(high),
        t_test,
        wilcoxon,
        higher_is_better,
    )
