"""The finished cells of a comparison, and what each block gains over the reference."""

import csv
import functools
import itertools
import math
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.app.config.options import key_of
from src.app.config.resume import OF_A_START
from src.commands.compare.gains import Gain, gain, holm, visible
from src.core.errors import DataError
from src.metrics.direction import higher_is_better
from src.training.callbacks.csv_logger import METRICS


@dataclass(frozen=True)
class Finished:
    """A cell that has been trained and scored."""

    folder: Path
    levels: Mapping[str, str]  # factor → level
    words: Sequence[str]  # of `src.train`
    cost: Mapping[str, Any]
    record: Mapping[str, Any]

    @property
    def seed(self) -> str:
        """Which repetition it is."""
        return self.levels.get("seed", "")

    @property
    def command(self) -> str:
        """What trains it again."""
        words = [word for word in self.words if key_of(word) not in OF_A_START]
        return f"python -m src.train {shlex.join(words)}"

    def score(self, benchmark: str, metric: str) -> float:
        """Return the mean over the images of a set; NaN where it is not finite."""
        mean = self.record["benchmarks"][benchmark]["mean"][metric]
        return math.nan if mean is None else float(mean)

    @functools.cached_property
    def curve(self) -> list[dict[str, str]]:
        """The lines of its log."""
        with (self.folder / METRICS).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    @property
    def machine(self) -> str:
        """Where it was trained; empty where that was not kept."""
        hardware = self.cost.get("hardware", {"gpus": [], "processor": ""})
        return str((hardware["gpus"] or [hardware["processor"]])[0])

    @property
    def wall_seconds(self) -> float:
        """Time from its start to its last score."""
        return float(sum(self.cost[part]["wall_seconds"] for part in ("training", "scoring")))

    def at(self, step: float, benchmark: str, metric: str) -> float:
        """Return a score of validation after so many steps; NaN before the first."""
        name = f"val/{benchmark}/{metric}"
        seen = [(int(row["step"]) + 1, float(row[name])) for row in self.curve if row.get(name)]
        if sorted(seen, key=lambda point: point[0]) != seen:
            raise DataError(f"{self.folder / METRICS}: its steps do not ascend.")
        if not seen or math.isnan(step):
            return math.nan
        steps, scores = zip(*seen, strict=True)
        return float(np.interp(step, steps, scores, left=math.nan))


Seeds = Mapping[str, Finished]
Groups = Mapping[str, Mapping[str, Seeds]]
"""What else is varied → block → seed → cell."""


@dataclass(frozen=True)
class Standing:
    """A block on one set: its scores, and by metric its gain with p and visible gain."""

    block: str
    cells: Seeds
    first: str  # of the set's metrics
    gains: Mapping[str, tuple[Gain, float, float]]  # empty for the reference, or without it

    @property
    def gained(self) -> tuple[Gain, float, float] | None:
        """The gain in the first metric; None for the reference, or where either lacks it."""
        return self.gains.get(self.first)


def grouped(finished: Sequence[Finished], compared: Sequence[str]) -> Groups:
    """Return the cells by what is neither compared nor the seed, by block, and by seed."""
    groups: dict[str, dict[str, dict[str, Finished]]] = {}
    for one in finished:
        rest = [level for name, level in one.levels.items() if name not in (*compared, "seed")]
        block = " ".join(one.levels[name] for name in compared)
        groups.setdefault(", ".join(rest), {}).setdefault(block, {})[one.seed] = one
    return groups


def scored(one: Finished) -> dict[str, list[str]]:
    """Return the metrics of each set."""
    return {
        name: list(next(iter(board["restored"].values())))
        for name, board in one.record["benchmarks"].items()
    }


def differences(cells: Seeds, reference: Seeds, name: str, metric: str) -> NDArray[np.float64]:
    """Return score minus that of the reference, (seeds that both have, images with both scores).

    Raises:
        DataError: If two cells were scored on other images or by another protocol.
    """
    pairs: list[NDArray[np.float64]] = []
    first: Finished | None = None
    for seed in [seed for seed in cells if seed in reference]:
        one, other = cells[seed], reference[seed]
        boards = [cell.record["benchmarks"][name] for cell in (one, other)]
        if (boards[0]["pixels"], one.record["protocol"]) != (
            boards[1]["pixels"],
            other.record["protocol"],
        ):
            raise DataError(
                f"{one.folder.name} and {other.folder.name} were scored on other images of {name}, "
                "or by another protocol. Remove the folder of the older one, and run it again."
            )
        first = first or one
        if boards[0]["pixels"] != first.record["benchmarks"][name]["pixels"]:
            raise DataError(
                f"{one.folder.name} and {first.folder.name} were scored on other images of {name}: "
                "their gains have no mean. Remove the folder of the older one, and run it again."
            )
        images = list(first.record["benchmarks"][name]["restored"])
        scores = [[board["restored"][image][metric] for image in images] for board in boards]
        pair = np.array(scores, dtype=np.float64)  # None becomes NaN
        if np.isfinite(pair).all(axis=0).any():  # a training that diverged hides no other
            pairs.append(pair)
    stacked = np.array([mine - theirs for mine, theirs in pairs])
    return stacked[:, np.isfinite(stacked).all(axis=0)] if pairs else np.empty((0, 0))


def standing(
    blocks: Mapping[str, Seeds], reference: str, name: str, metrics: Sequence[str]
) -> list[Standing]:
    """Return the blocks on one set, the largest gain first, with p corrected for all of them.

    Blocks without a gain are last, the highest score first.
    """
    gains = {}
    for block, metric in itertools.product(blocks, metrics):
        if block != reference and reference in blocks:
            values = differences(blocks[block], blocks[reference], name, metric)
            if values.size:
                gains[block, metric] = gain(values)
    corrected = holm([one.p for one in gains.values()])
    known = {
        key: (one, p, visible(one.error, one.freedom, len(gains)))
        for (key, one), p in zip(gains.items(), corrected, strict=True)
    }
    standings = [
        Standing(
            block, cells, metrics[0], {m: known[block, m] for m in metrics if (block, m) in known}
        )
        for block, cells in blocks.items()
    ]
    return sorted(standings, key=lambda one: _place(one, reference, name))


def _place(one: Standing, reference: str, name: str) -> tuple[bool, float]:
    """Return what a block is sorted by: scores over different seeds are not to be compared."""
    sign = 1 if higher_is_better(one.first) is False else -1
    if one.gained is not None or one.block == reference:
        return False, sign * one.gained[0].mean if one.gained else 0.0
    return True, sign * mean_score(one.cells, name, one.first)


def mean_score(cells: Seeds, name: str, metric: str) -> float:
    """Return the mean over seeds of the means over images, without those that are not finite."""
    scores = [one.score(name, metric) for one in cells.values()]
    known = [score for score in scores if math.isfinite(score)]
    return statistics.fmean(known) if known else math.nan


def gain_at(steps: float, cells: Seeds, reference: Seeds, name: str, metric: str) -> float:
    """Return the gain after so many steps over the reference's end, mean over seeds; or NaN."""
    both = [(one, reference[seed]) for seed, one in cells.items() if seed in reference]
    gains = [one.at(steps, name, metric) - other.at(math.inf, name, metric) for one, other in both]
    known = [gain for gain in gains if math.isfinite(gain)]  # a seed that diverged hides no other
    return statistics.fmean(known) if known else math.nan
