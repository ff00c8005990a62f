"""All processes of a run have the same job, or none of them takes a step."""

import lightning as L  # noqa: N812
import torch.distributed as dist

from src.core.errors import ConfigError


class SameJob(L.Callback):
    """Compare what the processes have read, as soon as they can talk to one another.

    Two processes with different settings would train together without any error: gradients of equal
    shape can always be averaged.

    Args:
        digest: Hash of configuration and folder as this process has them.
    """

    def __init__(self, digest: str) -> None:
        self.digest = digest

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Compare.

        Raises:
            ConfigError: In every process, if there is a difference between any two.
        """
        if trainer.world_size == 1:
            return
        digests: list[str] = [""] * trainer.world_size
        dist.all_gather_object(digests, self.digest)
        others = [rank for rank, digest in enumerate(digests) if digest != digests[0]]
        if others:
            named = ", ".join(str(rank) for rank in others)
            raise ConfigError(
                "The processes of this run do not have the same configuration and folder: "
                f"{named} of {trainer.world_size} differ from process 0. Nothing was trained. "
                "Start the command again; all machines must see the same repository and disk."
            )
