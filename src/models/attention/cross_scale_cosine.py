"""Cross-scale attention whose scores are cosines times a learned factor."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.core.memory import MemoryBudget
from src.models.attention import ATTENTION
from src.models.attention.cross_scale import CrossScaleAttention
from src.ops.attention.patch_attention import Implementation


class Temperature(nn.Module):
    """Multiply queries, normalised or as they are, by exp(t), t learned and zero at first."""

    def __init__(self, normalise: bool) -> None:
        super().__init__()
        self.normalise = normalise
        self.logarithm = nn.Parameter(torch.zeros(1))

    def forward(self, query: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return ``query`` times the factor."""
        if self.normalise:
            query = F.normalize(query, dim=1)
        return query * self.logarithm.exp().to(query.dtype)


@ATTENTION.register(paper="after Liu et al., 2022, arXiv:2111.09883, Eq. 2", cost="O(n²/s²)")
class CosineCrossScaleAttention(CrossScaleAttention):
    """``CrossScaleAttention`` that learns how sharply it chooses.

    As published the keys are normalised and the queries are not, so that a query's length decides
    how sharp its choice is. Here each pixel of a query has length 1, so that the score of a 3×3
    patch is at most 3 · ``softmax_scale`` · exp(t) wherever it lies, and one number t is learned.

    Args:
        channels: Feature channels C; must be a multiple of ``reduction``.
        normalise: Whether queries are normalised; if not, t is all that is added.
        scale: As there, like all that follows.
        reduction: As there.
        softmax_scale: Factor on the scores at first, when t is 0.
        memory_budget: As there.
        implementation: As there.
        window: As there.

    Raises:
        ValueError: As there.
    """

    def __init__(
        self,
        channels: int,
        *,
        normalise: bool = True,
        scale: int = 2,
        reduction: int = 2,
        softmax_scale: float = 10.0,
        memory_budget: MemoryBudget = "auto",
        implementation: Implementation = "auto",
        window: int | None = None,
    ) -> None:
        super().__init__(
            channels,
            scale=scale,
            reduction=reduction,
            softmax_scale=softmax_scale,
            memory_budget=memory_budget,
            implementation=implementation,
            window=window,
        )
        # a part of the query, so that maps of attention see the scores as they are
        self.query.append(Temperature(normalise))
