"""One protocol and its metrics: images in, per-image scores out."""

from collections.abc import Callable, Mapping

from torch import Tensor

from src.metrics.protocol import Protocol

Metric = Callable[[Tensor, Tensor], Tensor]
"""Maps prepared (restored, target), each (B, C, H, W) float64, to (B,) scores."""


class Evaluator:
    """Score restored images under a protocol.

    Args:
        protocol: Applied to both images, here and nowhere else.
        metrics: Name → metric; the names become log keys and columns.
    """

    def __init__(self, protocol: Protocol, metrics: Mapping[str, Metric]) -> None:
        self.protocol = protocol
        self.metrics = dict(metrics)

    def __call__(
        self, restored: Tensor, target: Tensor, grey: Tensor | None = None
    ) -> list[dict[str, float]]:
        """Return the scores of each of (B, C, H, W) images in [0, 1], metric by metric.

        Args:
            restored: The restored images.
            target: The clean images.
            grey: Which of them (B,) come from files of one channel; None is none.
        """
        prepared = self.protocol.prepare(restored, grey)
        reference = self.protocol.prepare(target, grey)
        columns = {name: metric(prepared, reference) for name, metric in self.metrics.items()}
        return [
            {name: float(column[index]) for name, column in columns.items()}
            for index in range(len(target))
        ]
