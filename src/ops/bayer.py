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


def phase_of(mosaiced: Float[Tensor, "b 3 h w"]) -> Phase | None:
    """Return where the colours of zero-filled mosaics are; None if they are no mosaics.

    A hundredth of the light may be elsewhere, as after a lossy compression.
    """
    light = mosaiced.sum(dim=0)
    outside = {
        phase: float((light * (1 - bayer_mask(phase, *light.shape[-2:]).to(light))).sum())
        for phase in PHASES
    }
    best = min(PHASES, key=lambda phase: outside[phase])
    return best if outside[best] <= 0.01 * float(light.sum()) else None


def greens_apart(raw: Float[Tensor, "b 1 h w"], phase: Phase) -> float:
    """Return how far the two greens of a cell are apart, over how far red and blue are.

    For photographs it is below 0.6 where the greens are where ``phase`` has them, above 1.7 where
    red and blue are, and near 1 if ``raw`` is no mosaic, or has hardly any colour. Phases that only
    swap red and blue cannot be told apart so.
    """
    height, width = (side // 2 * 2 for side in raw.shape[-2:])
    cells = F.pixel_unshuffle(raw[..., :height, :width], 2)
    main, other = (float((cells[:, a] - cells[:, b]).abs().mean()) for a, b in ((0, 3), (1, 2)))
    greens, rest = (main, other) if phase[0] == "g" else (other, main)
    return greens / max(rest, 1e-9)
