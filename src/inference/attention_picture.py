"""Attention maps as a picture: the image with its query pixel, then one heat map a level."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.inference.attention_maps import AttentionMap

CAPTION = "query pixel | where it looks, level by level (white: most)"

_RED = (1.0, 0.1, 0.1)
_DIM = 0.35
_SMALL = 256


def draw_attention(
    image: Float[Tensor, "c h w"], attention: AttentionMap
) -> Float[Tensor, "3 h2 w2"]:
    """Return the marked image, then heat over the dimmed grey image, side by side.

    All levels share one scale: from black through red and yellow to white, the largest weight.
    Small images are enlarged by a whole factor, to 256 pixels or less.

    Args:
        image: (1 or 3, H, W) in [0, 1], of the network's input.
        attention: Its levels may be of any size; they are stretched over the image.

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
    places = (attention.row, attention.column)
    frame = []
    for place, size, side in zip(places, attention.size, colour.shape[-2:], strict=True):
        margin = max(2, side // 64)
        start, stop = place * side // size - margin, (place + 1) * side // size + margin
        frame.append(slice(max(0, start), min(side, stop)))
    inner = marked[:, frame[0], frame[1]]
    edge = torch.ones(inner.shape[-2:], dtype=torch.bool)
    edge[2:-2, 2:-2] = False
    inner[:, edge] = torch.tensor(_RED)[:, None]
    return marked
