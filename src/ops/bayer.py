"""Bayer mosaics: one colour a pixel (Bayer, US patent 3971065, 1976)."""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

Phase = Literal["rggb", "grbg", "gbrg", "bggr"]
"""Colours at (0, 0), (0, 1), (1, 0) and (1, 1), as (row, column)."""

PHASES: tuple[Phase, ...] = get_args(Phase)


def bayer_mask(phase: Phase, height: int, width: int) -> Float[Tensor, "3 {height} {width}"]:
    """Return 1 where R, G and B are sampled and 0 elsewhere."""
    colours = torch.tensor(["rgb".index(colour) for colour in phase]).view(2, 2)
    cell = F.one_hot(colours, 3).permute(2, 0, 1).float()
    return cell.repeat(1, -(-height // 2), -(-width // 2))[:, :height, :width]


def mosaic(image: Float[Tensor, "b 3 h w"], phase: Phase) -> Float[Tensor, "b 3 h w"]:
    """Keep one colour a pixel; the other two are 0, neither interpolated nor packed."""
    return image * bayer_mask(phase, *image.shape[-2:]).to(image)


def pack(mosaiced: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 4 h2 w2"]:
    """Return the samples of each 2×2 cell as four channels: (0, 0), (0, 1), (1, 0), (1, 1).

    Args:
        mosaiced: As :func:`mosaic` makes it, of any phase; H and W are even.
    """
    return F.pixel_unshuffle(mosaiced.sum(dim=1, keepdim=True), 2)


def unpack(packed: Float[Tensor, "b 4 h w"], phase: Phase) -> Float[Tensor, "b 3 h2 w2"]:
    """Return the zero-filled image of which ``packed`` are the samples, 2·H × 2·W."""
    raw = F.pixel_shuffle(packed, 2)
    return mosaic(raw.expand(-1, 3, -1, -1), phase)
