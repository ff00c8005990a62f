"""Stop at the first NaN or infinity, say which module made it, and let no bad state be saved."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from src.core.errors import NonFiniteError
from src.core.types import Clean, Pair

SCALER_PATIENCE = 20
"""Steps that a loss scaler may skip in a row: it starts at 2¹⁶ and halves at each."""


@runtime_checkable
class Repeatable(Protocol):
    """A task whose forward pass can be run again, part by part."""

    net: nn.Module
    loss: nn.Module

    def degrade(self, batch: Clean | Pair) -> Pair:
        """Return the batch with its input."""
        ...

    def net_input(self, pair: Pair) -> Tensor:
        """Return what the network sees."""
        ...


@dataclass(eq=False, kw_only=True)
class NonFiniteGuard(Callback):
    """Check loss and gradients before each optimizer step, so that weights stay finite.

    Costs one reduction over the gradients a step. The step at fault is run once more with hooks, to
    name the module; the randomness of training is a function of the step, so it repeats.
    Under fp16 a loss scaler skips steps with infinite gradients itself; only many in a row count.

    Args:
        log_norm: Whether the length of the gradient, before it is clipped, is logged as
            ``train/grad_norm``; under a loss scaler that of the scaled one.
    """

    log_norm: bool = False
    _batch: Any = field(default=None, init=False)
    _losses: list[Tensor] = field(default_factory=list, init=False)
    _in_a_row: int = field(default=0, init=False)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the batch, in case it has to be run again."""
        self._batch = batch

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        """Keep the loss: an infinite one may have finite gradients, as L1's are signs."""
        self._losses.append(loss.detach())

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Stop where the loss or a gradient is not finite.

        Raises:
            NonFiniteError: Naming the module, the step and what to try.
        """
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        parts = [_part(gradient) for gradient in gradients]
        largest = torch.nn.utils.get_total_norm(filter(Tensor.numel, parts), norm_type=math.inf)
        loss = torch.stack(self._losses).sum()
        self._losses.clear()
        bad = ~torch.isfinite(largest.to(loss.device) + loss)
        if any(map(_is_sharded, gradients)):  # the others' parts too
            bad = trainer.strategy.reduce(bad.int(), reduce_op="max")
        if not bad:
            self._in_a_row = 0
            if self.log_norm:
                self._log_norm(trainer, pl_module, parts)
            return
        self._in_a_row += 1
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        if scaled and self._in_a_row <= SCALER_PATIENCE:
            return
        raise NonFiniteError(self._message(trainer, pl_module))

    @staticmethod
    def _log_norm(trainer: Trainer, task: LightningModule, parts: list[Tensor]) -> None:
        norm = torch.nn.utils.get_total_norm(filter(Tensor.numel, parts))
        if any(_is_sharded(p.grad) for p in task.parameters()):  # the others' parts too
            norm = trainer.strategy.reduce(norm.square(), reduce_op="sum").sqrt()
        task.log("train/grad_norm", norm)

    def _message(self, trainer: Trainer, task: LightningModule) -> str:
        return (
            f"Step {trainer.global_step + 1}: the loss or a gradient is NaN or infinite. "
            f"First at fault: {self._culprit(trainer, task)}.\n"
            "Nothing was updated and no checkpoint was overwritten; last.ckpt is the last good "
            "state. Try a lower optimizer.lr, trainer.gradient_clip_val=1.0, or "
            "trainer.precision=32-true; debug=anomaly names the operation."
        )

    def _culprit(self, trainer: Trainer, task: LightningModule) -> str:
        for name, parameter in task.named_parameters():
            if not torch.isfinite(parameter).all():
                return f"the weight {name}, before the step"
        if isinstance(task, Repeatable):
            with trainer.precision_plugin.train_step_context():
                culprit = first_in_forward(task, self._batch)
            if culprit is not None:
                return culprit
        return _first_in_backward(task)


def _part(gradient: Tensor) -> Tensor:
    """Return what this process has of a gradient; under trainer=fsdp that may be nothing."""
    local: Tensor = gradient.to_local() if _is_sharded(gradient) else gradient  # type: ignore[attr-defined]
    return local


def _is_sharded(tensor: Tensor | None) -> bool:
    """Tell a ``DTensor`` by its method: to import the class takes a training's start a second."""
    return hasattr(tensor, "to_local")


def first_in_forward(task: Repeatable, batch: Any) -> str | None:
    """Return what first makes a NaN or infinity when ``batch`` runs forward, or None."""
    pair = task.degrade(batch)
    for name in ("target", "input"):
        if not _is_finite(pair[name]):
            return f"the {name} image, from data or degradation ({', '.join(pair['key'][:8])})"
    with torch.enable_grad(), _watched(task.net) as faults:
        restored: Tensor = task.net(task.net_input(pair))
    if faults:
        return f"the output of {faults[0]}"
    loss = task.loss(restored.float(), pair["target"])
    return None if _is_finite(loss) else f"the loss {type(task.loss).__name__}"


@contextmanager
def _watched(net: nn.Module) -> Iterator[list[str]]:
    """Yield a list that fills with modules whose output is not finite, the innermost first."""
    faults: list[str] = []

    def hook_for(name: str) -> Any:
        def hook(module: nn.Module, _: object, output: object) -> None:
            if isinstance(output, Tensor) and not _is_finite(output):
                faults.append(f"net{name and '.'}{name} ({type(module).__name__})")

        return hook

    handles = [module.register_forward_hook(hook_for(name)) for name, module in net.named_modules()]
    try:
        yield faults
    finally:
        for handle in handles:
            handle.remove()


def _first_in_backward(task: nn.Module) -> str:
    """Return the last parameter with a bad gradient, which the backward pass reaches first."""
    bad = [
        name
        for name, parameter in task.named_parameters()
        if parameter.grad is not None and not _is_finite(parameter.grad)
    ]
    return f"the gradient of {bad[-1]}" if bad else "a step that does not repeat itself"


def _is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
