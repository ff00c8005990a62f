"""One protocol and its metrics: images in, per-image scores out."""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from src.core.errors import ConfigError, ExemplarError
from src.metrics.protocol import Protocol

Metric = Callable[[Tensor, Tensor], Tensor]
"""Maps prepared (restored, target), each (B, C, H, W) float64, to (B,) scores."""

_SIDES = (0, 1, 2, 4, 8, 16, 32, 64, 128, 255)
"""Between two of these is the least side that a metric can score; the last is enough for all."""


@dataclass(frozen=True)
class Evaluator:
    """Score restored images under a protocol.

    Args:
        protocol: Applied to both images, here and nowhere else.
        metrics: Name → metric; the names become log keys and columns.
    """

    protocol: Protocol
    metrics: Mapping[str, Metric]

    def __call__(
        self, restored: Tensor, target: Tensor, grey: Tensor | None = None
    ) -> list[dict[str, float]]:
        """Return the scores of each of (B, C, H, W) images in [0, 1], metric by metric.

        Args:
            restored: The restored images.
            target: The clean images.
            grey: Which of them (B,) count as grey; None is none.

        Raises:
            ConfigError: If a metric returns anything else than one score an image.
        """
        prepared = self.protocol.prepare(restored, grey)
        reference = self.protocol.prepare(target, grey)
        columns = {name: self._column(name, prepared, reference) for name in self.metrics}
        return [
            {name: float(column[index]) for name, column in columns.items()}
            for index in range(len(target))
        ]

    def _column(self, name: str, restored: Tensor, target: Tensor) -> Tensor:
        """Return one score an image, (B,); that of a single image may have no dimension."""
        scores = torch.as_tensor(self.metrics[name](restored, target))
        if scores.numel() != len(target):
            raise ConfigError(
                f"metrics.{name} gives {tuple(scores.shape)} for {len(target)} images; a metric "
                "returns one score an image."
            )
        return scores.reshape(-1)

    def smallest_side(self, channels: int, scale: int) -> int:
        """Return the least height and width of a target that every metric can score, by trial.

        Args:
            channels: Of the target.
            scale: Size of the target over that of the input.
        """

        def is_scored(side: int) -> bool:
            image = torch.rand(1, channels, side, side, generator=torch.Generator().manual_seed(0))
            try:
                target = self.protocol.fit(image, scale)
                return not any(map(math.isnan, self(target, target)[0].values()))
            except ExemplarError:  # of any size: weights that are not there
                raise
            except Exception:  # of whatever kind a metric has for too small an image; one that
                return False  # fails at every size makes the result 1, and is met when it scores

        for below, enough in pairwise(_SIDES):  # small images first: they are quick
            if is_scored(enough):
                between = range(below + 1, enough)
                return between.start + bisect_left(between, True, key=is_scored)
        return 1
