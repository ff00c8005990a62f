"""Bayer mosaics with zeros in between."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.ops.color import PHASES, Phase, bayer_mask, mosaic

EVALUATED: Phase = "grbg"
"""The phase of the papers' test images, from their top left corner (RNAN, arXiv:1903.10082)."""


class Mosaic(nn.Module):
    """Keep one colour sample a pixel; the other two channels are 0.

    The papers crop, flip and transpose training patches of images that are mosaiced already, which
    shows the network all four phases equally often. ``random`` does the same to patches that are
    mosaiced after the crop. In evaluation mode it gives GRBG from the corner of the image.

    Args:
        phase: ``random``, or the one phase of training and evaluation.

    Raises:
        ValueError: If there is no such phase.
    """

    def __init__(self, phase: Literal["random", "rggb", "grbg", "gbrg", "bggr"] = "random") -> None:
        super().__init__()
        if phase != "random" and phase not in PHASES:
            raise ValueError(f"phase={phase!r} is unknown; take random or one of {PHASES}.")
        self.phase = phase

    def forward(
        self, clean: Float[Tensor, "b 3 h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b 3 h w"]:
        """Map RGB images in [0, 1] to zero-filled mosaics; one phase an image."""
        if self.phase != "random":
            return mosaic(clean, self.phase)
        if not self.training:
            return mosaic(clean, EVALUATED)
        drawn = torch.randint(len(PHASES), (len(clean),), generator=generator, device=clean.device)
        masks = torch.stack([bayer_mask(phase, *clean.shape[-2:]) for phase in PHASES])
        return clean * masks.to(clean)[drawn]
