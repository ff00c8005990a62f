"""What the attention blocks of a network look at when they restore one pixel of an image."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.models.attention.cross_scale import CrossScaleAttention
from src.models.attention.in_scale_non_local import InScaleNonLocalAttention
from src.models.attention.non_local import NonLocalAttention
from src.models.attention.pyramid import PyramidAttention
from src.ops.attention.maps import patch_attention_map, pixel_attention_map


@dataclass(frozen=True)
class AttentionMap:
    """Softmax weights of one query pixel in one block.

    Attributes:
        block: Dotted name of the block in its network.
        row: Of the query pixel in the block's features.
        column: Of the query pixel in the block's features.
        size: (H, W) of the block's features.
        levels: One (H_s, W_s) of weights for each scale that is searched; together they sum to 1.
    """

    block: str
    row: int
    column: int
    size: tuple[int, int]
    levels: tuple[Tensor, ...]


def _patches(
    block: nn.Module, query: Tensor, keys: list[Tensor], row: int, column: int
) -> list[Tensor]:
    if not isinstance(block, PyramidAttention | CrossScaleAttention):
        raise TypeError(f"{type(block).__name__} does not compare patches.")
    scale, min_norm = block.softmax_scale, block.min_norm
    return patch_attention_map(query, keys, row, column, softmax_scale=scale, min_norm=min_norm)


def _pixels(
    block: nn.Module, query: Tensor, keys: list[Tensor], row: int, column: int
) -> list[Tensor]:
    return [pixel_attention_map(query, keys[0], row, column)]


RULES: dict[type[nn.Module], Callable[..., list[Tensor]]] = {
    PyramidAttention: _patches,
    CrossScaleAttention: _patches,
    InScaleNonLocalAttention: _pixels,
    NonLocalAttention: _pixels,
}
"""How a block compares; each embeds its features by its modules ``query`` and ``key``, the latter
once a level. A subclass may compare otherwise, so it is not included."""


def has_attention_maps(net: nn.Module) -> bool:
    """Say whether some block of ``net`` can show where it looks."""
    return any(type(module) in RULES for module in net.modules())


@torch.no_grad()
def attention_maps(
    net: nn.Module, degraded: Float[Tensor, "1 c h w"], row: int, column: int
) -> list[AttentionMap]:
    """Run ``net`` once and return the map of each of its blocks for one pixel of the input.

    Memory is linear in pixels, as only one query is looked at. Of a block that is called several
    times, as in CSNLN's recurrence, it is the map of the last call.

    Args:
        net: A network; blocks of kinds without a map are passed over.
        degraded: What the network sees; H and W as it needs them.
        row: Of the pixel of interest, 0 to H - 1.
        column: Of the pixel of interest, 0 to W - 1.

    Raises:
        ValueError: If the pixel is not in the image.
    """
    height, width = degraded.shape[-2:]
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(
            f"pixel ({row}, {column}) is not in the image: rows 0 to {height - 1}, "
            f"columns 0 to {width - 1}."
        )
    place = (row / height, column / width)
    maps: dict[str, AttentionMap] = {}
    handles = []
    for name, block in net.named_modules():
        if type(block) in RULES:
            handles += _watch(name, block, place, maps)
    try:
        net(degraded)
    finally:
        for handle in handles:
            handle.remove()
    return list(maps.values())


def _watch(
    name: str, block: nn.Module, place: tuple[float, float], maps: dict[str, AttentionMap]
) -> list[Any]:
    """Let ``block`` put its map into ``maps`` when it is called; return the handles to undo it."""
    seen: dict[str, list[Tensor]] = defaultdict(list)

    def keep(kind: str, module: nn.Module, inputs: object, output: Tensor) -> None:
        seen[kind].append(output)

    def conclude(module: nn.Module, inputs: tuple[Tensor], output: object) -> None:
        (query,), keys = seen.pop("query"), seen.pop("key")
        height, width = inputs[0].shape[-2:]
        row, column = int(place[0] * height), int(place[1] * width)
        levels = RULES[type(module)](module, query, keys, row, column)
        maps[name] = AttentionMap(name, row, column, (height, width), tuple(levels))

    embeddings = {"query": block.get_submodule("query"), "key": block.get_submodule("key")}
    handles = [
        module.register_forward_hook(partial(keep, kind)) for kind, module in embeddings.items()
    ]
    return [*handles, block.register_forward_hook(conclude)]
