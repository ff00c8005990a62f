"""Bayer mosaics with zeros in between."""

import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.core.errors import ImageFileError
from src.degradations.gaussian import GaussianNoise
from src.ops.bayer import PHASES, Phase, bayer_mask, greens_apart, mosaic, phase_of

logger = logging.getLogger(__name__)

EVALUATED: Phase = "grbg"
"""The phase of the papers' test images, from their top left corner (RNAN, arXiv:1903.10082)."""


_PLAIN = 0.65
"""Above it, greens are as far apart as red and blue: see ``greens_apart``."""


class Mosaic(nn.Module):
    """Keep one colour sample a pixel; the other two channels are 0.

    The papers crop, flip and transpose training patches of images that are mosaiced already, which
    shows the network all four phases equally often. ``random`` does the same to patches that are
    mosaiced after the crop. In evaluation mode it gives GRBG from the corner of the image.

    Args:
        phase: ``random``, or the one phase of training and evaluation.
        noise: (low, high) standard deviation of the samples' Gaussian noise on the 8-bit scale, one
            an image, in training and evaluation; the papers' mosaics have none.

    Raises:
        ValueError: If there is no such phase, or not 0 <= low <= high.
    """

    def __init__(
        self,
        phase: Literal["random", "rggb", "grbg", "gbrg", "bggr"] = "random",
        *,
        noise: Sequence[float] = (0.0, 0.0),
    ) -> None:
        super().__init__()
        try:
            drawn = GaussianNoise(noise, clip8=False)  # also checks a range of zeros
            self.noise = drawn if any(noise) else None
        except ValueError as error:
            raise ValueError(str(error).replace("sigma", "noise")) from None
        if phase != "random" and phase not in PHASES:
            raise ValueError(f"phase={phase!r} is unknown; take random or one of {PHASES}.")
        self.phase = phase

    @property
    def evaluated(self) -> Phase:
        """The phase of images that are mosaiced in evaluation."""
        return EVALUATED if self.phase == "random" else self.phase

    def received(self, image: Float[Tensor, "b 3 h w"], name: str) -> Float[Tensor, "b 3 h w"]:
        """Return the mosaic of a file as networks take it; warn of what speaks against it.

        Args:
            image: A zero-filled mosaic, or one of one channel, repeated to three.
            name: Of the file.

        Raises:
            ImageFileError: If it is no mosaic.
        """
        raw = image[:, :1]
        is_raw = bool((image == raw).all())
        if not is_raw and phase_of(image) is None:
            raise ImageFileError(
                Path(name),
                "has more than one colour a pixel, so it is no Bayer mosaic: demosaicing takes raw "
                "levels in one channel, or in three with zeros where nothing was measured.",
            )
        doubt = self._doubt_of_raw(raw) if is_raw else self._doubt_of_filled(image)
        if doubt:
            logger.warning("%s: %s.", name, doubt)
        return mosaic(image, self.evaluated) if is_raw else image

    def _doubt_of_raw(self, raw: Tensor) -> str:
        if min(raw.shape[-2:]) < 2:  # no whole cell
            return ""
        apart = greens_apart(raw, self.evaluated)
        if apart > 1 / _PLAIN:
            return f"its greens are not where phase={self.evaluated} has them; state another phase"
        return "it looks like a grey image and no Bayer mosaic" if apart > _PLAIN else ""

    def _doubt_of_filled(self, image: Tensor) -> str:
        actual = phase_of(image)
        if self.phase in {"random", actual}:
            return ""
        return f"it is a mosaic of phase {actual}, and phase {self.phase} is expected"

    def forward(
        self, clean: Float[Tensor, "b 3 h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b 3 h w"]:
        """Map RGB images in [0, 1] to zero-filled mosaics; one phase an image."""
        if self.noise is not None:
            clean = self.noise(clean, generator)
        if self.phase != "random" or not self.training:
            return mosaic(clean, self.evaluated)
        drawn = torch.randint(len(PHASES), (len(clean),), generator=generator, device=clean.device)
        return clean * _masks(*clean.shape[-2:], clean.device)[drawn].to(clean.dtype)


@lru_cache(maxsize=8)
def _masks(height: int, width: int, device: torch.device) -> Tensor:
    """Return the mask of each phase, (4, 3, height, width), made and sent once."""
    return torch.stack([bayer_mask(phase, height, width) for phase in PHASES]).to(device)
