"""Resizing by a drawn factor and interpolation, as steps of a chain."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.degradations.drawn import check_range, check_weights, choose, uniform

INTERPOLATIONS = ("area", "bilinear", "bicubic", "nearest")
EVEN = {"area": 1.0, "bilinear": 1.0, "bicubic": 1.0}
"""The interpolations of Real-ESRGAN, equally often."""
_DIRECTIONS = ("up", "down", "keep")
_FINAL: ContextVar[tuple[int, int] | None] = ContextVar("final size", default=None)


@contextmanager
def ending_at(size: tuple[int, int]) -> Iterator[None]:
    """Say in the block at what height and width the chain ends that is under way."""
    token = _FINAL.set(size)
    try:
        yield
    finally:
        _FINAL.reset(token)


def final_size() -> tuple[int, int] | None:
    """Return height and width at the end of the chain that is under way; None outside of one."""
    return _FINAL.get()


def interpolate(image: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Return the image at ``size`` in float; only ``area`` filters out what would alias."""
    corners = {} if mode in {"area", "nearest"} else {"align_corners": False}
    return F.interpolate(image, size, mode=mode, **corners)


def to_final_size(
    image: Tensor, generator: torch.Generator | None, resizing: Mapping[str, float]
) -> Tensor:
    """Return the image at the final size of the chain that is under way."""
    size = _FINAL.get()
    if size is None or tuple(image.shape[-2:]) == size:
        return image
    return interpolate(image, size, choose(generator, resizing, "resizing"))


class ToFinalSize(nn.Module):
    """Within a chain, bring an image to the size that it has at the end of the chain.

    Args:
        resizing: Weights of the interpolations.

    Raises:
        ValueError: If an interpolation is unknown.
    """

    def __init__(self, resizing: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.resizing = check_weights("resizing", resizing or EVEN, INTERPOLATIONS)

    def forward(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b c h2 w2"]:
        """Map images in [0, 1]; outside a chain they stay as they are."""
        return to_final_size(clean, generator, self.resizing)


class Resize(nn.Module):
    """Enlarge, shrink or keep an image, by a factor drawn uniformly (Real-ESRGAN).

    Wang et al., 2021, arXiv:2107.10833, Sec. 3.1 and 3.2, with the numbers of its public settings.

    Args:
        factor: (low, high); an image that is shrunk draws from low to 1, an enlarged one from 1 to
            high.
        direction: Weights of ``up``, ``down`` and ``keep``.
        resizing: Weights of the interpolations.
        of: What the factor is of: the ``image`` as it comes, or its ``final`` size in a chain.

    Raises:
        ValueError: If not 0 < low <= 1 <= high, or a name is unknown.
    """

    def __init__(
        self,
        factor: Sequence[float] = (0.15, 1.5),
        *,
        direction: Mapping[str, float] | None = None,
        resizing: Mapping[str, float] | None = None,
        of: Literal["image", "final"] = "image",
    ) -> None:
        super().__init__()
        low, high = check_range("factor", factor, least=0.01)
        if not low <= 1 <= high or of not in {"image", "final"}:
            raise ValueError(
                f"factor={list(factor)} of={of}: the factor must include 1, e.g. [0.15, 1.5], and "
                "be of the image or the final size."
            )
        self.low, self.high, self.of = low, high, of
        even = dict.fromkeys(_DIRECTIONS, 1.0)
        self.direction = check_weights("direction", direction or even, _DIRECTIONS)
        self.resizing = check_weights("resizing", resizing or EVEN, INTERPOLATIONS)

    def forward(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b c h2 w2"]:
        """Map images in [0, 1]; all of them to one size."""
        ranges = {"up": (1.0, self.high), "down": (self.low, 1.0), "keep": (1.0, 1.0)}
        direction = choose(generator, self.direction, "direction")
        factor = uniform(generator, ranges[direction], "factor")
        mode = choose(generator, self.resizing, "resizing")
        sides = tuple(clean.shape[-2:]) if self.of == "image" else final_size()
        height, width = (max(round(side * factor), 1) for side in sides or clean.shape[-2:])
        return interpolate(clean, (height, width), mode)
