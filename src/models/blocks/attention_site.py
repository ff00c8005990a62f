"""A place in a trunk where any registered attention block may stand."""

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor, nn

from src.core.types import AttentionFactory


def attention_site(
    attention: AttentionFactory, channels: int, *, identity: bool = True
) -> nn.Module:
    """Build an attention block so that it maps (B, C, H, W) to the same shape.

    A block that enlarges (``scale`` > 1) is followed by a strided convolution back to the trunk's
    size, as CSNLN goes back to its state (arXiv:2006.01424). Where ``identity`` is wanted
    and the block has none of its own (it says so by ``keeps_identity = False``), the features are
    added, or what the trunk has worked out so far would be lost.

    Args:
        attention: Builds the block from ``channels``.
        channels: Feature channels C.
        identity: Whether the site must pass the features on beside what the block makes of them.

    Returns:
        The block itself wherever it fits as it is, so that its tensors keep their names.
    """
    block = attention(channels)
    missing = identity and not getattr(block, "keeps_identity", True)
    if int(getattr(block, "scale", 1)) == 1 and not missing:
        return block
    return AttentionSite(block, channels, identity=missing)


def any_global(modules: Iterable[nn.Module]) -> bool:
    """Say whether a pixel may depend on all others through one of these attention sites.

    A block whose reach is bounded says so by ``global_context = False``.
    """
    return any(bool(getattr(module, "global_context", True)) for module in modules)


class AttentionSite(nn.Module):
    """An attention block, brought back to the trunk's size and joined with the features.

    Args:
        block: Maps (B, C, H, W) to (B, C, s·H, s·W); its attribute ``scale`` is s.
        channels: Feature channels C.
        identity: Whether the features are added to the result.
    """

    scale = 1
    keeps_identity = True

    def __init__(self, block: nn.Module, channels: int, *, identity: bool) -> None:
        super().__init__()
        self.block = block
        self.identity = identity
        self.global_context = any_global([block])
        scale = int(getattr(block, "scale", 1))
        self.shrink = (
            nn.Conv2d(channels, channels, kernel_size=scale, stride=scale)
            if scale > 1
            else nn.Identity()
        )

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return what the block makes of ``features``, at their size."""
        attended: Tensor = self.shrink(self.block(features))
        return features + attended if self.identity else attended
