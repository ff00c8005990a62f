"""Structural similarity of each image (Wang et al., 2004, doi:10.1109/TIP.2003.819861)."""

from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torchmetrics.functional.image import structural_similarity_index_measure

from src.core.heap import kept_for_reuse

WINDOW = 11
UNIFORM = 8
"""Sides of the Gaussian and of the uniform window."""

_C1, _C2 = 0.01**2, 0.03**2

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
    _check(target, WINDOW)
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


def ssim_uniform(
    restored: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """Return each image's SSIM over 8×8 windows of equal weight, for intensities in [0, 1].

    The windows of Wang and Bovik, 2002 (doi:10.1109/97.995823): at every position where they fit,
    with the moments of the window itself. The SSIM that tables of JPEG artefact removal print for
    the JPEG itself (ARCNN, RNAN, PANet) is this one, while that of the networks beside it has
    Gaussian windows: the two must not be compared.

    Raises:
        ValueError: If an image is smaller than the window.
    """
    _check(target, UNIFORM)

    def mean(image: Tensor) -> Tensor:
        return F.avg_pool2d(image, UNIFORM, stride=1)

    x, y = mean(restored), mean(target)
    variances = mean(restored.square()) - x.square() + mean(target.square()) - y.square()
    covariance = mean(restored * target) - x * y
    similarity = (2 * x * y + _C1) * (2 * covariance + _C2)
    similarity = similarity / ((x.square() + y.square() + _C1) * (variances + _C2))
    return torch.mean(similarity, dim=(1, 2, 3))


def _check(target: Tensor, window: int) -> None:
    if min(target.shape[-2:]) < window:
        raise ValueError(
            f"SSIM needs at least {window}×{window} pixels, not {tuple(target.shape[-2:])}."
        )
