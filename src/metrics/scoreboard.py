"""Per-image scores of one benchmark, gathered from all processes, each image once."""

import statistics
from dataclasses import dataclass, field

import torch.distributed as dist

Scores = dict[str, float]


@dataclass
class Scoreboard:
    """Scores by image key: those of the restored image and those of the untouched input.

    Attributes:
        restored: Key → metric → score of the network's output.
        baseline: Key → metric → score of the input as it came.
    """

    restored: dict[str, Scores] = field(default_factory=dict)
    baseline: dict[str, Scores] = field(default_factory=dict)

    def add(self, key: str, restored: Scores, baseline: Scores) -> None:
        """Record one image; the same key again replaces it."""
        self.restored[key], self.baseline[key] = restored, baseline

    def gathered(self) -> "Scoreboard":
        """Return the union over all processes, sorted by key: each image counts once."""
        boards = [self]
        if dist.is_available() and dist.is_initialized():
            boards = [Scoreboard() for _ in range(dist.get_world_size())]
            dist.all_gather_object(boards, self)
        union = Scoreboard()
        for board in boards:
            for key in board.restored:
                union.add(key, board.restored[key], board.baseline[key])
        return Scoreboard(
            dict(sorted(union.restored.items())), dict(sorted(union.baseline.items()))
        )

    def means(self) -> Scores:
        """Return metric → mean over images, and metric_input → that of the input; {} when empty."""
        return {
            **_means(self.restored),
            **{f"{name}_input": mean for name, mean in _means(self.baseline).items()},
        }


def _means(scores: dict[str, Scores]) -> Scores:
    rows = list(scores.values())
    names = rows[0] if rows else {}
    return {name: statistics.fmean(row[name] for row in rows) for name in names}
