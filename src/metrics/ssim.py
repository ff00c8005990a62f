"""Structural similarity of each image (Wang et al., 2004, doi:10.1109/TIP.2003.819861)."""

from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from src.core.heap import kept_for_reuse

WINDOW = 11

TILE = 64
"""Side of a piece of the map. PyTorch's convolution in double precision unfolds its input into 121
copies: 0.8 GB for an image of 481×321 as a whole, 27 MB for a piece, and two to three times as
fast."""


def ssim(
    restored: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """Return each image's SSIM, mean over channels, for intensities in [0, 1].

    Wang's own definition: 11×11 Gaussian window, σ 1.5, only positions where the window fits.
    torchmetrics pads by reflection, which moves the mean by up to 0.006, so its map is cut.

    Raises:
        ValueError: If an image is smaller than the window.
    """
    if min(target.shape[-2:]) < WINDOW:
        raise ValueError(
            f"SSIM needs at least {WINDOW}×{WINDOW} pixels, not {tuple(target.shape[-2:])}."
        )
    rows, columns = (side - WINDOW + 1 for side in target.shape[-2:])  # of the map
    total = torch.zeros(len(target), dtype=target.dtype, device=target.device)
    with kept_for_reuse():
        for top, left in product(range(0, rows, TILE), range(0, columns, TILE)):
            here = slice(top, top + TILE + WINDOW - 1), slice(left, left + TILE + WINDOW - 1)
            total += _inner_map(restored[..., *here], target[..., *here]).sum(dim=(1, 2, 3))
    return total / (target.shape[1] * rows * columns)


def _inner_map(restored: Tensor, target: Tensor) -> Tensor:
    _, padded = structural_similarity_index_measure(
        restored, target, data_range=1.0, reduction="none", return_full_image=True
    )
    inner: Tensor = padded[..., WINDOW // 2 : -(WINDOW // 2), WINDOW // 2 : -(WINDOW // 2)]
    return inner
