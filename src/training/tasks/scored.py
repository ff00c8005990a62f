"""Whole images restored and scored, in validation and in tests."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import lightning as L  # noqa: N812
from torch import Tensor

from src.core.types import Clean, Pair
from src.inference.restorer import Restorer
from src.metrics.evaluator import Evaluator
from src.metrics.scoreboard import Scoreboard


class ScoredModule(L.LightningModule):
    """Score whole images under a protocol; what the network is and sees is left to the task.

    Args:
        evaluator: The protocol and its metrics.
        restorer: The network with padding and tiles.

    Attributes:
        scoreboards: The scores of the latest validation or test, a board a benchmark.
    """

    def __init__(self, evaluator: Evaluator, restorer: Restorer) -> None:
        super().__init__()
        self.evaluator, self.restorer = evaluator, restorer
        self.scoreboards: dict[str, Scoreboard] = {}

    @abstractmethod
    def degrade(self, batch: Clean | Pair) -> Pair:
        """Return the batch with an ``input``."""

    def net_input(self, pair: Pair) -> Tensor:
        """Return what the network sees; tasks add a noise map or pack a mosaic here."""
        return pair["input"]

    def baseline(self, pair: Pair) -> Tensor:
        """Return the score to beat as an image of the target's size: the untouched input."""
        return pair["input"]

    def validation_step(
        self, batch: Clean, batch_idx: int, dataloader_idx: int = 0
    ) -> Mapping[str, Any]:
        """Score whole images under the protocol; return them for pictures."""
        return self._score(batch, dataloader_idx)

    def test_step(self, batch: Clean, batch_idx: int, dataloader_idx: int = 0) -> Mapping[str, Any]:
        """Score whole images under the protocol; return them for pictures."""
        return self._score(batch, dataloader_idx)

    def on_validation_epoch_start(self) -> None:
        """Forget the scores of the last validation."""
        self._clear_scoreboards()

    def on_test_epoch_start(self) -> None:
        """Forget the scores of the last test."""
        self._clear_scoreboards()

    def on_validation_epoch_end(self) -> None:
        """Log the mean of each score as ``val/<benchmark>/<metric>``, the first also as val/…."""
        self._log_means("val")

    def on_test_epoch_end(self) -> None:
        """Log the mean of each score as ``test/<benchmark>/<metric>``."""
        self._log_means("test")

    def _score(self, batch: Clean, dataloader_idx: int) -> Mapping[str, Any]:
        pair = self.degrade(batch)
        seen = self.net_input(pair)
        restored = self.restorer(seen)
        baseline = self.baseline(pair)
        name = self._benchmark(dataloader_idx)
        board = self.scoreboards[name]
        grey = batch.get("grey")
        scores = self.evaluator(restored, pair["target"], grey)
        before = self.evaluator(baseline, pair["target"], grey)
        for key, after, untouched in zip(pair["key"], scores, before, strict=True):
            board.add(key, after, untouched, self.restorer.tile_of(seen))
        return {
            "benchmark": name,
            "key": pair["key"],
            "input": baseline,
            "restored": restored,
            "target": pair["target"],
        }

    def _benchmark(self, dataloader_idx: int) -> str:
        names: tuple[str, ...] = self.trainer.datamodule.benchmark_names  # type: ignore[attr-defined]
        return names[dataloader_idx]

    def _clear_scoreboards(self) -> None:
        # One a benchmark in every process, also where it gets no image: all of them gather.
        names: tuple[str, ...] = self.trainer.datamodule.benchmark_names  # type: ignore[attr-defined]
        self.scoreboards = {name: Scoreboard() for name in names}

    def _log_means(self, stage: str) -> None:
        self.scoreboards = {name: board.gathered() for name, board in self.scoreboards.items()}
        for index, (name, board) in enumerate(self.scoreboards.items()):
            for metric, mean in board.means().items():
                # every process has the same mean; Lightning wants to hear that it is reduced
                self.log(f"{stage}/{name}/{metric}", mean, sync_dist=True)
                if index == 0 and stage == "val":
                    self.log(f"val/{metric}", mean, prog_bar=metric == "psnr", sync_dist=True)
