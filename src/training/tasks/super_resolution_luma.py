"""Super-resolution of luma that is taken of colour images, and not rounded."""

from src.core.types import Clean, Pair
from src.training.tasks import TASKS
from src.training.tasks.super_resolution import SuperResolution


@TASKS.register(paper="Kim et al., 2016, arXiv:1511.04587, Sec. 5")
class SuperResolutionLuma(SuperResolution):
    """Restore luma from the luma of a small colour image.

    ``task=super_resolution_y`` reads luma as 8-bit levels; here it is worked out from 8-bit colour,
    of the target and of the shrunk image, by the protocol's weights.
    """

    def degrade(self, batch: Clean | Pair) -> Pair:
        """Return luma of the batch with an ``input``, made here unless the data has one."""
        pair = super().degrade(batch)
        luma = self.evaluator.protocol.luma_of
        return Pair(input=luma(pair["input"]), target=luma(pair["target"]), key=pair["key"])
