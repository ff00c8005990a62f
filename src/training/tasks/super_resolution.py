"""Super-resolution: the network sees a bicubically shrunk image."""

from torch import Tensor

from src.core.types import Pair
from src.ops.resize import upscale
from src.training.tasks import TASKS
from src.training.tasks.base import RestorationTask


@TASKS.register(paper="Mei et al., 2020, arXiv:2006.01424, Sec. 4; arXiv:2004.13824, Sec. 4.4")
class SuperResolution(RestorationTask):
    """Restore an image ``scale`` times as large; bicubic interpolation is the score to beat.

    A network of scale 1 is given the interpolated input, as in SRCNN and VDSR (Kim et al., 2016,
    arXiv:1511.04587, Sec. 3.1).
    """

    def net_input(self, pair: Pair) -> Tensor:
        """Return the small image, enlarged first for a network that keeps the size."""
        scale = self.restorer.net.scale
        return pair["input"] if scale == self.scale else upscale(pair["input"], self.scale)

    def baseline(self, pair: Pair) -> Tensor:
        """Return the input enlarged by MATLAB's bicubic rule."""
        return upscale(pair["input"], self.scale)
