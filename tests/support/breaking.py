"""A callback that makes a network overflow, for tests of what happens then."""

from typing import Any

import lightning as L  # noqa: N812
import torch


class OverflowAt(L.Callback):
    """Before one step, make the weights of one layer so large that its output is infinite.

    Args:
        step: Optimizer steps done before.
        layer: Dotted name of a layer of the network.
    """

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
