"""Pyramid attention (Mei et al., 2020, arXiv:2004.13824) in a search window: linear cost."""

from src.models.attention import ATTENTION
from src.models.attention.pyramid import PyramidAttention, Resampling
from src.ops.attention.patch_attention import Implementation


@ATTENTION.register(paper="after Mei et al., 2020, arXiv:2004.13824", cost="O(n·M²), M = window")
class LocalPyramidAttention(PyramidAttention):
    """Do as ``PyramidAttention``, but search each level only around the query's own place.

    Parameters have the same names and shapes, so weights go from one to the other. On features no
    larger than ``window``, as in training on patches, both give the same result; on larger ones
    time and memory grow with the number of pixels, not with its square.

    Args:
        channels: Feature channels C; must be a multiple of ``reduction``.
        window: Side of the search window in pixels of the features, scaled with each level. 49
            covers all of a 48×48 training patch, the papers' size.
        levels: Number of scales, 1 to 9.
        reduction: Ratio of C to the channels in which patches are compared; see PyramidAttention.
        softmax_scale: Factor on the scores; the keys are normalised, the queries are not.
        residual_scale: Factor on the *identity*, as in the authors' code.
        resampling: ``size_ratio`` or ``scale_factor``; see PyramidAttention.
        implementation: ``native`` is the C++ kernel, ``auto`` takes it where there is one, and
            ``chunked`` is PyTorch.

    Raises:
        ValueError: If ``window`` is below 1, or PyramidAttention refuses its arguments.
    """

    # Bounded, like shifted windows; but level sizes are rounded, so a tile is not exact either.
    global_context = False

    def __init__(
        self,
        channels: int,
        *,
        window: int = 49,
        levels: int = 5,
        reduction: int | None = None,
        softmax_scale: float = 10.0,
        residual_scale: float = 1.0,
        resampling: Resampling = "size_ratio",
        implementation: Implementation = "auto",
    ) -> None:
        if window < 1:
            raise ValueError(f"window={window}; a search window has at least 1 pixel a side.")
        super().__init__(
            channels,
            levels=levels,
            reduction=reduction,
            softmax_scale=softmax_scale,
            residual_scale=residual_scale,
            resampling=resampling,
            implementation=implementation,
        )
        self.window = window
