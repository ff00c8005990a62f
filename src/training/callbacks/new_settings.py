"""A resumed run whose optimizer or schedule was given anew: the checkpoint must not undo it."""

from collections.abc import Mapping
from typing import Any

import lightning as L  # noqa: N812

COMMON = ("base_lrs", "last_epoch", "_step_count", "_last_lr", "_is_initial")


class NewSettings(L.Callback):
    """Lay given values over those that optimizer and scheduler restore from a checkpoint.

    A new learning rate is a new peak: the schedule's present share of it is kept.

    Args:
        optimizer: Name → value, e.g. {"lr": 5e-5}.
        scheduler: Whether a setting of the schedule was given; only its progress is restored then.
    """

    def __init__(self, optimizer: Mapping[str, Any], *, scheduler: bool) -> None:
        self.optimizer, self.scheduler = dict(optimizer), scheduler

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Change the states before Lightning hands them to optimizer and scheduler."""
        for state in checkpoint["lr_schedulers"] if self.scheduler else ():
            for name in [name for name in state if name not in COMMON]:
                del state[name]
            state["lr_lambdas"] = [None] * len(state["base_lrs"])  # LambdaLR asks: none was saved
        for state in checkpoint["optimizer_states"]:
            for group in state["param_groups"]:
                group.update(
                    {name: self.optimizer[name] for name in self.optimizer if name != "lr"}
                )
        if "lr" in self.optimizer:
            self._scale(checkpoint, float(self.optimizer["lr"]))

    @staticmethod
    def _scale(checkpoint: dict[str, Any], peak: float) -> None:
        for state in checkpoint["optimizer_states"]:
            for group in state["param_groups"]:
                before = group.get("initial_lr", group["lr"])
                share = group["lr"] / before if before else 1.0
                group["initial_lr"], group["lr"] = peak, peak * share
        rates = [group["lr"] for group in checkpoint["optimizer_states"][0]["param_groups"]]
        for state in checkpoint["lr_schedulers"]:
            state["base_lrs"], state["_last_lr"] = [peak] * len(state["base_lrs"]), rates
