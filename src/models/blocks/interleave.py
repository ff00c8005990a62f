"""Attention blocks between the blocks of a trunk."""

from collections.abc import Sequence

from torch import nn

from src.core.types import AttentionFactory
from src.models.blocks.attention_site import attention_site


def interleaved(
    blocks: Sequence[nn.Module],
    *,
    attention: AttentionFactory,
    channels: int,
    sites: Sequence[int] | None,
) -> tuple[nn.Sequential, list[nn.Module]]:
    """Return the blocks in a row with attention between them, and the attention sites alone.

    Args:
        blocks: The blocks, each from (B, C, H, W) to the same shape.
        attention: Builds an attention block from ``channels``; each site has its own weights.
        channels: Feature channels C.
        sites: After how many blocks an attention block stands, once for each entry: 0 is before
            the first, ``len(blocks)`` after the last. None is one, in the middle.

    Raises:
        ValueError: If a site is out of range.
    """
    chosen = [len(blocks) // 2] if sites is None else list(sites)
    wrong = [site for site in chosen if not 0 <= site <= len(blocks)]
    if wrong:
        raise ValueError(
            f"attention_sites={chosen}: {wrong[0]} is out of range; a site is a number of blocks "
            f"that come before it, 0 to {len(blocks)}."
        )
    row: list[nn.Module] = []
    attended: list[nn.Module] = []
    for done in range(len(blocks) + 1):
        here = [attention_site(attention, channels) for _ in range(chosen.count(done))]
        attended += here
        row += [*here, *blocks[done : done + 1]]
    return nn.Sequential(*row), attended
