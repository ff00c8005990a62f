"""Residual blocks with attention blocks between them: the body of EDSR, PANet and PA-EDSR."""

from collections.abc import Callable, Sequence

from torch import nn

from src.core.types import AttentionFactory
from src.models.blocks.attention_site import attention_site


def attended_trunk(
    residual_block: Callable[[], nn.Module],
    *,
    blocks: int,
    channels: int,
    attention: AttentionFactory,
    sites: Sequence[int] | None,
) -> nn.Sequential:
    """Return ``blocks`` residual blocks, attention between them, and a last 3×3 convolution.

    Args:
        residual_block: Makes one residual block.
        blocks: How many of them.
        channels: Feature channels C.
        attention: Builds an attention block from ``channels``; each site gets weights of its own.
        sites: After how many residual blocks an attention block stands, once for each entry: 0 is
            before the first, ``blocks`` after the last. None is the middle, where Mei et al. (2020,
            arXiv:2004.13824) put their only one; their best ablation has all three.

    Raises:
        ValueError: If a site is out of range, or there is no middle.
    """
    if sites is None and blocks % 2:
        raise ValueError(
            f"blocks={blocks} is odd and has no middle for the attention; "
            f"make it even or give attention_sites=[{blocks // 2}]."
        )
    chosen = [blocks // 2] if sites is None else list(sites)
    wrong = [site for site in chosen if not 0 <= site <= blocks]
    if wrong:
        raise ValueError(
            f"attention_sites={chosen}: {wrong[0]} is out of range; a site is a number of residual "
            f"blocks that come before it, 0 to {blocks}."
        )
    parts: list[nn.Module] = []
    for done in range(blocks + 1):
        parts += [attention_site(attention, channels) for _ in range(chosen.count(done))]
        if done < blocks:
            parts.append(residual_block())
    return nn.Sequential(*parts, nn.Conv2d(channels, channels, kernel_size=3, padding=1))


def site_indices(blocks: int, sites: Sequence[int] | None) -> list[int]:
    """Return where the attention blocks stand among the modules of ``attended_trunk``."""
    chosen = [blocks // 2] if sites is None else sorted(sites)
    return [site + order for order, site in enumerate(chosen)]
