"""How much of an image occurs in it again: what attention across an image and its scales needs."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.ops.color import luma

SIDE, STEP = 9, 3
"""Side of a patch, and the distance of neighbouring ones that are asked for, in pixels."""
SCALES = (1.0, 0.8, 0.6)
CONTRAST = 8 / 255
"""Least standard deviation of a patch with structure: flat ones resemble everything flat."""
ALIKE = 0.9
"""Least correlation of two patches that count as near matches."""


def recurrence(image: Float[Tensor, "c h w"]) -> float:
    """Return the share of patches that have structure, and a near match elsewhere at some scale.

    The match is sought in the luma of the whole image and of it shrunk to 0.8 and 0.6, at least one
    patch's side away; it may differ in brightness and contrast.

    Args:
        image: Clean, in [0, 1], of one channel or three; H, W >= 23.

    Raises:
        ValueError: If it is too small.
    """
    if min(image.shape[-2:]) * min(SCALES) < SIDE + STEP:
        raise ValueError(f"an image of {tuple(image.shape)} is too small for patches of {SIDE}.")
    grey = (luma(image[None]) if len(image) == 3 else image[None]).double()
    asked, places, contrast = _patches(grey, STEP)
    asked, places = asked[contrast >= CONTRAST], places[contrast >= CONTRAST]
    matched = torch.zeros(len(asked), dtype=torch.bool)
    for scale in SCALES:
        size = [round(side * scale) for side in grey.shape[-2:]]
        level = (
            F.interpolate(grey, size=size, mode="bicubic", antialias=True) if scale < 1 else grey
        )
        keys, where, spread = _patches(level, 1)
        keys, where = keys[spread >= CONTRAST], where[spread >= CONTRAST] / scale
        for first in range(0, len(asked), 512):
            query, key = (asked[first : first + 512] @ keys.T >= ALIKE).nonzero(as_tuple=True)
            away = (places[first + query] - where[key]).abs().amax(dim=-1) >= SIDE
            matched[first + query[away]] = True
    return float(matched.sum()) / len(contrast)


def _patches(grey: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return patches without mean and of length 1, their centres, and their deviations."""
    rows = F.unfold(grey, SIDE, stride=step)[0].T
    rows = rows - rows.mean(dim=1, keepdim=True)
    deviation = rows.square().mean(dim=1).sqrt()
    down, across = ((side - SIDE) // step + 1 for side in grey.shape[-2:])
    centres = torch.cartesian_prod(torch.arange(down), torch.arange(across)) * step + SIDE / 2
    return F.normalize(rows, dim=1).float(), centres.float(), deviation
