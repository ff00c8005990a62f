"""The one training loop: a task joins a network, a degradation, a loss and an evaluator."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer

from src.core.errors import ConfigError
from src.core.seeding import generator_for
from src.core.types import Clean, OptimizerFactory, Pair, SchedulerFactory
from src.inference.restorer import Restorer
from src.metrics.evaluator import Evaluator
from src.optim.groups import groups_of, scale_rates
from src.training.tasks.checks import check_average, check_compiler, check_patch
from src.training.tasks.scored import ScoredModule

INDUCTOR: dict[str, str | int | bool | Callable[..., Any]] = {"layout_optimization": False}
"""With it, torch 2.13 on the CPU gives gradients that are wrong by a hundredth in what comes before
pyramid attention of four or more levels; so it does with ``channels_last``. Its backend
``aot_eager`` is right, and where the fault lies in ``inductor`` is not known."""


class RestorationTask(ScoredModule):
    """Train and score a restoration network; everything that varies is handed in.

    Args:
        net: The network, which keeps the backbone contract.
        degradation: Called as (clean, generator) → input.
        conditions: Name → degradation of each condition under which every benchmark is scored, as
            the data's ``conditions``; None or {} is ``degradation`` alone.
        loss: Called as (restored, target) → scalar.
        evaluator: The protocol and its metrics.
        restorer: ``net`` with padding and tiles, for whole images.
        optimizer: Builds the optimizer from the trainable parameters.
        scheduler: Builds the schedule from the optimizer; stepped once an optimizer step.
        lr_factors: Pattern of parameters' names → factor on their learning rate.
        scale: Size of the target over that of the input; whole images are cut to a multiple of it.
        margin: Pixels cut from each side of a training patch's target after it was degraded (and as
            much from the input): what a patch's edge would make of degradations that look beyond
            it, as if the whole image had been degraded before the patch was cut. Bicubic shrinking
            needs 2 · ``scale``, JPEG 8.
        seed: With step and rank it decides every random number of training.
        channels_last: Whether inputs are put into NHWC memory order.
        compiled: Whether training runs the network through ``torch.compile``; whole images, which
            come in all sizes, do not.

    Attributes:
        noise_seed: Of what is drawn in evaluation, with the image's key; 0 in every validation.

    Raises:
        ConfigError: If the network enlarges by a factor that is neither 1 nor ``scale``, or
            ``margin`` is no multiple of ``scale``.
    """

    def __init__(
        self,
        *,
        net: nn.Module,
        degradation: nn.Module,
        conditions: Mapping[str, nn.Module] | None = None,
        loss: nn.Module,
        evaluator: Evaluator,
        restorer: Restorer,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory,
        lr_factors: Mapping[str, float] | None = None,
        scale: int = 1,
        margin: int = 0,
        seed: int = 0,
        channels_last: bool = False,
        compiled: bool = False,
    ) -> None:
        super().__init__(evaluator, restorer)
        self.net, self.degradation, self.loss = net, degradation, loss
        self.optimizer, self.scheduler = optimizer, scheduler
        self.conditions = nn.ModuleList((conditions or {}).values())  # 7.5 is no name of a module
        self.lr_factors = lr_factors or {}
        self.scale, self.seed, self.noise_seed = scale, seed, 0
        if restorer.net.scale not in {1, scale}:
            raise ConfigError(
                f"{type(net).__name__} enlarges by {restorer.net.scale}, the task by {scale}; "
                "let model.scale follow ${io.scale}, or choose another model. Super-resolution by "
                f"{restorer.net.scale} is task=super_resolution task.scale={restorer.net.scale}."
            )
        if margin < 0 or margin % scale:
            raise ConfigError(
                f"task.margin={margin} must be 0 or a multiple of the scale, {scale}."
            )
        self.margin, self._parts = margin, defaultdict[str, list[Tensor]](list)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        # A function, not a module: the names of the weights in checkpoints stay as they are.
        self.compiled: Callable[[Tensor], Tensor] | None = (
            torch.compile(net.forward, options=INDUCTOR) if compiled else None
        )

    def degrade(self, batch: Clean | Pair) -> Pair:
        """Return the batch with an ``input``, made here unless the data has one.

        The noise of a training sample is a function of seed and sample number, on the device: the
        same however many processes share a batch. In evaluation it is one of the image's key
        and ``noise_seed``, on the CPU, so that it is the same wherever and however it runs.
        """
        if "input" in batch:
            return batch
        target = self.evaluator.protocol.fit(batch["target"], self.scale)
        salts: list[tuple[str | int, ...]]
        if self.training:
            first, device = self._first_sample(len(target)), self._degraded_on(target.device)
            salts = [("noise", self.seed, number) for number in range(first, first + len(target))]
        else:
            device = torch.device("cpu")
            seeds = (self.noise_seed,) if self.noise_seed else ()
            salts = [("noise", *seeds, key) for key in batch["key"]]
        images = target.to(device)
        # An operation on a card takes as long for one small image as for all of them.
        together = self.training and not getattr(self.degradation, "draws", True)
        shares = [images] if together else [image[None] for image in images]
        parts = [
            self.spoil(part, generator_for(device, *salt))
            for part, salt in zip(shares, salts[: len(shares)], strict=True)
        ]
        drawn = {name: torch.cat([part[name] for part in parts]).to(target) for name in parts[0]}
        pair = Pair(input=drawn["input"], target=target, key=batch["key"])
        if "level" in drawn:
            pair["level"] = drawn["level"]
        return pair

    def _degraded_on(self, device: torch.device) -> torch.device:
        """Return where training images are spoilt: a codec asks each time what was drawn."""
        return torch.device("cpu") if getattr(self.degradation, "on_cpu", False) else device

    def _score(self, batch: Clean, dataloader_idx: int) -> Mapping[str, Any]:
        if not self.conditions:
            return super()._score(batch, dataloader_idx)
        trained = self.degradation
        self.degradation = self.conditions[dataloader_idx % len(self.conditions)]
        try:
            return super()._score(batch, dataloader_idx)
        finally:
            self.degradation = trained

    def spoil(self, clean: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        """Return the ``input`` made of a clean image, (1, C, H, W), and the ``level`` of noise."""
        return {"input": self.degradation(clean, generator)}

    def training_step(self, batch: Clean, batch_idx: int) -> Tensor:
        """Return the scalar loss of one batch of patches."""
        pair = self.without_margin(self.degrade(batch))
        degraded = self.net_input(pair).contiguous(memory_format=self.memory_format)
        restored: Tensor = (self.compiled or self.net)(degraded)
        loss: Tensor = self.loss(restored.float(), pair["target"])
        latest = {f"train/loss/{k}": v for k, v in getattr(self.loss, "latest", {}).items()}
        for name, value in {"train/loss": loss, **latest}.items():
            self._parts[name].append(torch.as_tensor(value).detach())  # of the step's batches
            shown = name == "train/loss"
            mean = torch.stack(self._parts[name]).mean()
            self.log(name, mean, prog_bar=shown, batch_size=len(restored), sync_dist=True)
        return loss

    def without_margin(self, pair: Pair) -> Pair:
        """Return training patches without the margin in which they were degraded."""
        if not self.margin:
            return pair
        sides = {"input": self.margin // self.scale, "target": self.margin}
        cut = {key: pair[key][..., m:-m, m:-m] for key, m in sides.items()}  # type: ignore[literal-required]
        return cast("Pair", {**pair, **cut})

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Log the learning rate of the step that is being done, the same in all processes."""
        self._parts.clear()
        learn = getattr(self.loss, "after_backward", None)
        if learn is not None:
            learn()
        rate = optimizer.param_groups[0]["lr"]
        self.log("train/lr", torch.tensor(rate, dtype=torch.float64))  # float32 would blur 1e-4

    def on_fit_start(self) -> None:
        """Refuse what cannot work before the first step, later stages included."""
        self.check_sizes(self.trainer.datamodule.patch_sizes)  # type: ignore[attr-defined]

    def check_sizes(self, patch_sizes: Iterable[int]) -> None:
        """Refuse training patches of sizes that cannot work, and a compiler that is not there.

        Raises:
            ConfigError: Saying what can.
        """
        net, judge = self.restorer.net, getattr(self.loss, "check_patch", None)
        for size in patch_sizes:
            side = size - 2 * self.margin
            check_patch(side, net, scale=self.scale)
            if judge is not None:
                judge(side, net.out_channels)
        if self.compiled is not None:
            check_compiler(self.memory_format)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to take an average for the weights that training goes on with."""
        check_average(checkpoint, self.trainer.callbacks)  # type: ignore[attr-defined]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer over trainable parameters and its schedule.

        Raises:
            ConfigError: If there are none, or a pattern of ``lr_factors`` fits none.
        """
        trainable = [p for p in self.net.parameters() if p.requires_grad]
        if not trainable:
            raise ConfigError(
                f"{type(self.net).__name__} has nothing to train; score it with "
                "python -m src.evaluate model=… task=…, or choose another model."
            )
        if self.lr_factors:
            optimizer = self.optimizer(groups_of(self.net, self.lr_factors))
            scale_rates(optimizer)
        else:
            optimizer = self.optimizer(trainable)
        schedule = {"scheduler": self.scheduler(optimizer), "interval": "step"}
        return cast("OptimizerLRScheduler", {"optimizer": optimizer, "lr_scheduler": schedule})

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:  # noqa: ANN401
        """Advance by one optimizer step."""
        scheduler.step()

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
