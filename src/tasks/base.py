"""The one training loop: a task joins a network, a degradation, a loss and an evaluator."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import lightning as L  # noqa: N812
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from src.core.errors import ConfigError
from src.core.seeding import generator_for
from src.core.types import Clean, OptimizerFactory, Pair, SchedulerFactory
from src.inference.restorer import Restorer
from src.metrics.evaluator import Evaluator
from src.metrics.scoreboard import Scoreboard
from src.ops.resize import mod_crop
from src.tasks.refusals import check_average, check_compiler, check_patch


class RestorationTask(L.LightningModule):
    """Train and score a restoration network; everything that varies is handed in.

    Args:
        net: The network, which keeps the backbone contract.
        degradation: Called as (clean, generator) → input.
        loss: Called as (restored, target) → scalar.
        evaluator: The protocol and its metrics.
        restorer: ``net`` with padding and tiles, for whole images.
        optimizer: Builds the optimizer from the trainable parameters.
        scheduler: Builds the schedule from the optimizer; stepped once an optimizer step.
        scale: Size of the target over that of the input; whole images are cut to a multiple of it.
        seed: With step and rank it decides every random number of training.
        channels_last: Whether inputs are put into NHWC memory order.
        compiled: Whether training runs the network through ``torch.compile``; whole images, which
            come in all sizes, do not.

    Raises:
        ConfigError: If the network enlarges by a factor that is neither 1 nor ``scale``.
    """

    def __init__(
        self,
        *,
        net: nn.Module,
        degradation: nn.Module,
        loss: nn.Module,
        evaluator: Evaluator,
        restorer: Restorer,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory,
        scale: int = 1,
        seed: int = 0,
        channels_last: bool = False,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.net, self.degradation, self.loss = net, degradation, loss
        self.evaluator, self.restorer = evaluator, restorer
        self.optimizer, self.scheduler = optimizer, scheduler
        self.scale, self.seed = scale, seed
        if restorer.net.scale not in {1, scale}:
            raise ConfigError(
                f"{type(net).__name__} enlarges by {restorer.net.scale}, the task by {scale}; "
                "let model.scale follow ${io.scale}, or choose another model."
            )
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        # A function, not a module: the names of the weights in checkpoints stay as they are.
        self.compiled: Callable[[Tensor], Tensor] | None = (
            torch.compile(net.forward) if compiled else None
        )
        self.scoreboards: dict[str, Scoreboard] = {}

    def net_input(self, pair: Pair) -> Tensor:
        """Return what the network sees; tasks add a noise map or pack a mosaic here."""
        return pair["input"]

    def baseline(self, pair: Pair) -> Tensor:
        """Return the score to beat as an image of the target's size: the untouched input."""
        return pair["input"]

    def degrade(self, batch: Clean | Pair) -> Pair:
        """Return the batch with an ``input``, made here unless the data has one.

        The noise of a training sample is a function of seed and sample number, on the device: the
        same however many processes share a batch. In evaluation it is one of the image's key, on
        the CPU, so that it is the same wherever and however it runs.
        """
        if "input" in batch:
            return batch
        target = mod_crop(batch["target"], self.scale)
        if self.training:
            first, device = self._first_sample(len(target)), target.device
            numbers = range(first, first + len(target))
            salts: list[tuple[str | int, ...]] = [("noise", self.seed, n) for n in numbers]
        else:
            device = torch.device("cpu")
            salts = [("noise", key) for key in batch["key"]]
        parts = [
            self.degradation(image[None].to(device), generator_for(device, *salt))
            for image, salt in zip(target, salts, strict=True)
        ]
        degraded = torch.cat(parts).to(target)
        return Pair(input=degraded, target=target, key=batch["key"])

    def training_step(self, batch: Clean, batch_idx: int) -> Tensor:
        """Return the scalar loss of one batch of patches."""
        pair = self.degrade(batch)
        degraded = self.net_input(pair).contiguous(memory_format=self.memory_format)
        restored: Tensor = (self.compiled or self.net)(degraded)
        loss: Tensor = self.loss(restored.float(), pair["target"])
        self.log("train/loss", loss, prog_bar=True, batch_size=len(restored), sync_dist=True)
        return loss

    def on_fit_start(self) -> None:
        """Refuse what cannot work before the first step, later stages included."""
        for side in self.trainer.datamodule.patch_sizes:  # type: ignore[attr-defined]
            check_patch(side, self.restorer.net, scale=self.scale)
        if self.compiled is not None:
            check_compiler()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to take an average for the weights that training goes on with."""
        check_average(checkpoint, self.trainer.callbacks)  # type: ignore[attr-defined]

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

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer over trainable parameters and its schedule.

        Raises:
            ConfigError: If there are none.
        """
        trainable = [p for p in self.net.parameters() if p.requires_grad]
        if not trainable:
            raise ConfigError(
                f"{type(self.net).__name__} has nothing to train; score it with "
                "python -m src.evaluate model=… task=…, or choose another model."
            )
        optimizer = self.optimizer(trainable)
        schedule = {"scheduler": self.scheduler(optimizer), "interval": "step"}
        return cast("OptimizerLRScheduler", {"optimizer": optimizer, "lr_scheduler": schedule})

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:  # noqa: ANN401
        """Advance by one optimizer step."""
        scheduler.step()

    def _score(self, batch: Clean, dataloader_idx: int) -> Mapping[str, Any]:
        pair = self.degrade(batch)
        restored = self.restorer(self.net_input(pair))
        baseline = self.baseline(pair)
        name = self._benchmark(dataloader_idx)
        board = self.scoreboards[name]
        grey = batch.get("grey")
        scores = self.evaluator(restored, pair["target"], grey)
        before = self.evaluator(baseline, pair["target"], grey)
        for key, after, untouched in zip(pair["key"], scores, before, strict=True):
            board.add(key, after, untouched)
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

    def _first_sample(self, count: int) -> int:
        """Return the number of the first of ``count`` samples of this process's present batch.

        Samples are numbered over the whole run; a step's numbers are the same whether they are
        shared by processes, accumulated from several batches, or neither.
        """
        return (self._micro_step() * self._world() + self.global_rank) * count

    def _world(self) -> int:
        return self.trainer.world_size

    def _micro_step(self) -> int:
        """Count batches over the whole run: steps, and batches within an accumulated step."""
        return self.trainer.fit_loop.epoch_loop.total_batch_idx
