"""Per-image scores of one benchmark, gathered from all processes, each image once."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch.distributed as dist

Scores = dict[str, float]


@dataclass
class Scoreboard:
    """Scores by image key: those of the restored image and those of the untouched input.

    Attributes:
        restored: Key → metric → score of the network's output.
        baseline: Key → metric → score of the input as it came.
        tiles: Key → side of the tiles in which it was restored; None is the whole image at once.
    """

    restored: dict[str, Scores] = field(default_factory=dict)
    baseline: dict[str, Scores] = field(default_factory=dict)
    tiles: dict[str, int | None] = field(default_factory=dict)

    def add(self, key: str, restored: Scores, baseline: Scores, tile: int | None = None) -> None:
        """Record one image; the same key again replaces it."""
        self.restored[key], self.baseline[key], self.tiles[key] = restored, baseline, tile

    def gathered(self) -> "Scoreboard":
        """Return the union over all processes, sorted by key: each image counts once."""
        boards = [self]
        if dist.is_available() and dist.is_initialized():
            boards = [Scoreboard() for _ in range(dist.get_world_size())]
            dist.all_gather_object(boards, self)
        union = Scoreboard()
        for board in boards:
            for key in board.restored:
                union.add(key, board.restored[key], board.baseline[key], board.tiles[key])
        parts = (union.restored, union.baseline, union.tiles)
        return Scoreboard(*(dict(sorted(part.items())) for part in parts))  # type: ignore[arg-type]

    def means(self) -> Scores:
        """Return metric → mean over images, and metric_input → that of the input; {} when empty."""
        return self._both(statistics.fmean)

    def standard_errors(self) -> Scores:
        """Return what :meth:`means` has, but the standard error of each mean.

        The sample's standard deviation over √n, images being the sample; NaN for one image and
        where a score is infinite.
        """
        return self._both(_standard_error)

    def _both(self, statistic: Callable[[list[float]], float]) -> Scores:
        return {
            **_columns(self.restored, statistic),
            **{
                f"{name}_input": value for name, value in _columns(self.baseline, statistic).items()
            },
        }


def mean_of(boards: Sequence[Scoreboard]) -> Scoreboard:
    """Return the mean score of each image over boards of the same images."""
    mean = Scoreboard(tiles=boards[0].tiles)
    for part, parts in (
        (mean.restored, [board.restored for board in boards]),
        (mean.baseline, [board.baseline for board in boards]),
    ):
        for key, scores in parts[0].items():
            part[key] = {name: statistics.fmean(one[key][name] for one in parts) for name in scores}
    return mean


def _columns(scores: dict[str, Scores], statistic: Callable[[list[float]], float]) -> Scores:
    rows = list(scores.values())
    names = rows[0] if rows else {}
    # fmean adds exactly (math.fsum), so the order of the images moves no digit.
    return {name: statistic([row[name] for row in rows]) for name in names}


def _standard_error(values: list[float]) -> float:
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return math.nan
    return statistics.stdev(values) / math.sqrt(len(values))
