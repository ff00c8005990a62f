"""Callbacks that make a network overflow or a validation fail, for tests of what happens then."""

from typing import Any

import lightning as L  # noqa: N812
import torch

from src.core.errors import DataError


class OverflowAt(L.Callback):
    """Before one step, make the weights of one layer so large that its output is infinite."""

    def __init__(self, step: int, layer: str) -> None:
        self.step, self.layer = step, layer

    def on_train_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        if trainer.global_step == self.step:
            with torch.no_grad():
                pl_module.net.get_submodule(self.layer).weight.fill_(1e38)


class FailInValidation(L.Callback):
    """End the run in the validation after one step, as a kill would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_validation_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        if trainer.global_step == self.step:
            raise DataError("the disk of the validation images is gone")
