"""How widely each attention block spreads its weights, logged at every validation."""

import logging
from collections import defaultdict
from dataclasses import KW_ONLY, dataclass, field
from math import exp, log
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from src.inference.attention_maps import maps_of, shown_blocks
from src.ops.attention.one_query import Spread
from src.training.callbacks.non_finite_guard import Repeatable
from src.training.callbacks.pictures import middle_of

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class AttentionSpread(Callback):
    """Log where the queries of each block look: whether attention learns to choose, and when.

    ``attention/<block>/effective_keys`` is how many keys of equal weight would be spread as widely
    (the geometric mean over queries), of the ``keys`` that there are; ``near`` is the share of
    weight on keys close by. Queries lie on a grid over the middle of the first validation images,
    which is all that the network sees of them. Blocks without a map, such as channel attention, are
    passed over. Costs a small forward pass an image. ``inference.window`` does not count here.

    Args:
        limit: Images of each benchmark that each process looks at.
        size: Side of the middle part in pixels of the network's input.
        points: Queries along each axis.
        radius: Up to which distance, in pixels of the network's input, a key is near.

    Raises:
        ValueError: If ``size`` is below 8, or ``points`` is not 1 to ``size``.
    """

    _: KW_ONLY
    limit: int = 4
    size: int = 64
    points: int = 4
    radius: float = 4.0
    _sums: dict[str, Tensor] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.size < 8:
            raise ValueError(f"size={self.size}; attention needs at least 8 pixels a side, e.g. 64")
        if not 1 <= self.points <= self.size:
            raise ValueError(f"points={self.points}; allowed: 1 to size, which is {self.size}")
        self._forget()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say it where there is nothing to log."""
        shown = isinstance(pl_module, Repeatable) and shown_blocks(pl_module.net)
        if not shown and trainer.is_global_zero:
            logger.warning(
                "No block of this network compares pixels or patches, so that callbacks=attention "
                "logs and draws nothing."
            )

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin anew: a validation that was interrupted is not counted."""
        self._forget()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the queries of one batch, whose degradation is repeated."""
        if batch_idx >= self.limit or not isinstance(pl_module, Repeatable):
            return
        seen = pl_module.net_input(pl_module.degrade(batch))[:1]
        middle = middle_of(seen, self.size, getattr(pl_module.net, "multiple_of", 1))
        places = [
            [side * (2 * place + 1) // (2 * self.points) for place in range(self.points)]
            for side in middle.shape[-2:]
        ]
        grid = [(row, column) for row in places[0] for column in places[1]]
        for block, maps in maps_of(pl_module.net, middle, grid).items():
            self._sums[block] += sum(_numbers(one.spread(self.radius)) for one in maps)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the means over all processes, of which some may have had no image."""
        for block in shown_blocks(pl_module.net) if isinstance(pl_module, Repeatable) else {}:
            sums = self._sums[block].to(pl_module.device, torch.float32)
            queries, *rest = trainer.strategy.reduce(sums, reduce_op="sum").tolist()
            if queries and trainer.state.fn == "fit":
                entropy, keys, near = (total / queries for total in rest)
                spread = {"effective_keys": exp(entropy), "keys": keys, "near": near}
                for name, value in spread.items():
                    pl_module.log(f"attention/{block}/{name}", value)

    def _forget(self) -> None:
        self._sums = defaultdict(lambda: torch.zeros(4, dtype=torch.float64))


def _numbers(one: Spread) -> Tensor:
    """Return what is summed: a query, its entropy in nats, its keys, its weight near by."""
    return torch.tensor([1, log(one.effective_keys), one.keys, one.near], dtype=torch.float64)
