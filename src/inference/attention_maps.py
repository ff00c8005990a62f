"""What the attention blocks of a network look at when they restore one pixel, and its picture."""

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.models.attention.cross_scale import CrossScaleAttention
from src.models.attention.in_scale_non_local import InScaleNonLocalAttention
from src.models.attention.non_local import NonLocalAttention
from src.models.attention.pyramid import PyramidAttention
from src.ops.attention.dense import patch_attention_map
from src.ops.attention.pixels import pixel_attention_map

CAPTION = "query pixel | where it looks, level by level (white: most)"

_RED = (1.0, 0.1, 0.1)
_DIM = 0.35
_SMALL = 256


@dataclass(frozen=True)
class AttentionMap:
    """Softmax weights of one query pixel in one block.

    Attributes:
        block: Dotted name of the block in its network.
        row, column: Of the query pixel in the block's features.
        size: (H, W) of the block's features.
        levels: One (H_s, W_s) of weights for each scale that is searched; together they sum to 1.
    """

    block: str
    row: int
    column: int
    size: tuple[int, int]
    levels: tuple[Tensor, ...]


_SHOWN = (PyramidAttention, CrossScaleAttention, InScaleNonLocalAttention, NonLocalAttention)
"""Blocks that embed features by their modules ``query`` and ``key``, the latter once a level, and
compare them by patches or by pixels. A subclass may compare otherwise, so it is not included."""


def _is_shown(block: nn.Module) -> bool:
    """Return whether it is of a kind that is shown, and sees all: a window has no map."""
    return type(block) in _SHOWN and getattr(block, "window", None) is None


@torch.no_grad()
def attention_maps(
    net: nn.Module, degraded: Float[Tensor, "1 c h w"], row: int, column: int
) -> list[AttentionMap]:
    """Run ``net`` once and return the map of each of its blocks for one pixel of the input.

    Memory is linear in pixels, as only one query is looked at. Of a block that is called several
    times, as in CSNLN's recurrence, it is the map of the last call; blocks of kinds without a map
    are passed over. ``degraded`` has the sides that the network needs.

    Raises:
        ValueError: If the pixel is not in the image.
    """
    height, width = degraded.shape[-2:]
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(
            f"pixel ({row}, {column}) is not in the image: rows 0 to {height - 1}, "
            f"columns 0 to {width - 1}."
        )
    at = (row / height, column / width)
    maps: dict[str, AttentionMap] = {}
    shown = [(name, block) for name, block in net.named_modules() if _is_shown(block)]
    handles = [handle for name, block in shown for handle in _watch(name, block, at, maps)]
    try:
        net(degraded)
    finally:
        for handle in handles:
            handle.remove()
    return list(maps.values())


def _watch(
    name: str, block: nn.Module, at: tuple[float, float], maps: dict[str, AttentionMap]
) -> list[Any]:
    """Let ``block`` put its map into ``maps`` when it is called; return the handles to undo it."""
    seen: dict[str, list[Tensor]] = defaultdict(list)

    def keep(kind: str, module: nn.Module, inputs: object, output: Tensor) -> None:
        seen[kind].append(output)

    def conclude(module: nn.Module, inputs: tuple[Tensor], output: object) -> None:
        (query,), keys = seen.pop("query"), seen.pop("key")
        height, width = inputs[0].shape[-2:]
        row, column = int(at[0] * height), int(at[1] * width)
        if isinstance(module, PyramidAttention | CrossScaleAttention):
            scale, least = module.softmax_scale, module.min_norm
            levels = patch_attention_map(
                query, keys, row, column, softmax_scale=scale, min_norm=least
            )
        else:
            levels = [pixel_attention_map(query, keys[0], row, column)]
        maps[name] = AttentionMap(name, row, column, (height, width), tuple(levels))

    embedded = [
        block.get_submodule(kind).register_forward_hook(partial(keep, kind))
        for kind in ("query", "key")
    ]
    return [*embedded, block.register_forward_hook(conclude)]


def draw_attention(
    image: Float[Tensor, "c h w"], attention: AttentionMap
) -> Float[Tensor, "3 h2 w2"]:
    """Return the marked image, then heat over the dimmed grey image, side by side.

    All levels share one scale: from black through red and yellow to white, the largest weight.
    Levels of any size are stretched over the image, which has 1 or 3 channels in [0, 1]. Small
    images are enlarged by a whole factor k, to 256 pixels or less.

    Returns:
        (3, k·H, (1 + levels)·k·W) in [0, 1].
    """
    factor = max(1, _SMALL // max(image.shape[-2:]))
    shown = image.cpu().clamp(0, 1).expand(3, -1, -1)
    colour = shown.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)
    grey = colour.mean(dim=0) * _DIM
    peak = torch.stack([level.max() for level in attention.levels]).max()
    parts = [_marked(colour, attention)]
    for level in attention.levels:
        weight = (level / peak).float().cpu()
        heat = F.interpolate(weight[None, None], size=grey.shape, mode="nearest")[0, 0]
        hot = torch.stack([3 * heat, 3 * heat - 1, 3 * heat - 2])
        parts.append(torch.maximum(grey, hot).clamp(0, 1))
    return torch.cat(parts, dim=2)


def _marked(colour: Tensor, attention: AttentionMap) -> Tensor:
    """Return a copy with a red frame around the pixels that the query stands for."""
    marked = colour.clone()
    query = (attention.row, attention.column)
    frame = []
    for at, size, side in zip(query, attention.size, colour.shape[-2:], strict=True):
        margin = max(2, side // 64)
        start, stop = at * side // size - margin, (at + 1) * side // size + margin
        frame.append(slice(max(0, start), min(side, stop)))
    inner = marked[:, frame[0], frame[1]]
    edge = torch.ones(inner.shape[-2:], dtype=torch.bool)
    edge[2:-2, 2:-2] = False
    inner[:, edge] = torch.tensor(_RED)[:, None]
    return marked
