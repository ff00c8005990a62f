"""The one training loop: a task joins a network, a degradation, a loss and an evaluator."""

from collections.abc import Mapping
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
        self.scoreboards: dict[str, Scoreboard] = {}

    def net_input(self, pair: Pair) -> Tensor:
        """Return what the network sees; tasks add a noise map or pack a mosaic here."""
        return pair["input"]

    def baseline(self, pair: Pair) -> Tensor:
        """Return the score to beat as an image of the target's size: the untouched input."""
        return pair["input"]

    def degrade(self, batch: Clean | Pair) -> Pair:
        """Return the batch with an ``input``, made here unless the data has one.

        In training the noise is a function of (seed, step, rank), on the device; in evaluation of
        the image's key, on the CPU, so that it is the same wherever and however it runs.
        """
        if "input" in batch:
            return batch
        target = mod_crop(batch["target"], self.scale)
        if self.training:
            self._check_patches(batch["target"])
            generator = generator_for(
                target.device, "noise", self.seed, self._micro_step(), self.global_rank
            )
            degraded: Tensor = self.degradation(target, generator)
        else:
            parts = [
                self.degradation(image[None].cpu(), generator_for("cpu", "noise", key))
                for image, key in zip(target, batch["key"], strict=True)
            ]
            degraded = torch.cat(parts).to(target)
        return Pair(input=degraded, target=target, key=batch["key"])

    def training_step(self, batch: Clean, batch_idx: int) -> Tensor:
        """Return the scalar loss of one batch of patches."""
        pair = self.degrade(batch)
        degraded = self.net_input(pair).contiguous(memory_format=self.memory_format)
        restored: Tensor = self.net(degraded)
        loss: Tensor = self.loss(restored.float(), pair["target"])
        self.log("train/loss", loss, prog_bar=True, batch_size=len(restored))
        return loss

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
        self.scoreboards = {}

    def on_test_epoch_start(self) -> None:
        """Forget the scores of the last test."""
        self.scoreboards = {}

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

    def _check_patches(self, target: Tensor) -> None:
        side, scale = target.shape[-1], self.scale
        unit = self.restorer.net.multiple_of * self.restorer.net.scale
        if side % scale == 0 and side % unit:
            raise ConfigError(
                f"data.patch_size={side}: {type(self.net).__name__} takes multiples of {unit} "
                f"pixels; take {-(-side // unit) * unit}."
            )
        if side % scale:
            below, above = side // scale * scale, -(-side // scale) * scale
            near = f"{below} or {above}" if below else f"{above}"
            raise ConfigError(
                f"data.patch_size={side} is in pixels of the target and must be a multiple of "
                f"task.scale={scale}: take {near}."
            )

    def _score(self, batch: Clean, dataloader_idx: int) -> Mapping[str, Any]:
        pair = self.degrade(batch)
        restored = self.restorer(self.net_input(pair))
        baseline = self.baseline(pair)
        name = self._benchmark(dataloader_idx)
        board = self.scoreboards.setdefault(name, Scoreboard())
        scores = self.evaluator(restored, pair["target"])
        before = self.evaluator(baseline, pair["target"])
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

    def _log_means(self, stage: str) -> None:
        self.scoreboards = {name: board.gathered() for name, board in self.scoreboards.items()}
        for index, (name, board) in enumerate(self.scoreboards.items()):
            for metric, mean in board.means().items():
                self.log(f"{stage}/{name}/{metric}", mean)
                if index == 0 and stage == "val":
                    self.log(f"val/{metric}", mean, prog_bar=metric == "psnr")

    def _micro_step(self) -> int:
        """Count batches over the whole run: steps, and batches within an accumulated step."""
        return self.trainer.fit_loop.epoch_loop.total_batch_idx
