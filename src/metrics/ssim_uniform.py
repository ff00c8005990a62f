"""Structural similarity over uniform windows (Wang et al., 2004, doi:10.1109/TIP.2003.819861)."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

WINDOW = 8
_C1, _C2 = 0.01**2, 0.03**2


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
    if min(target.shape[-2:]) < WINDOW:
        raise ValueError(
            f"SSIM needs at least {WINDOW}×{WINDOW} pixels, not {tuple(target.shape[-2:])}."
        )

    def mean(image: Tensor) -> Tensor:
        return F.avg_pool2d(image, WINDOW, stride=1)

    x, y = mean(restored), mean(target)
    variances = mean(restored.square()) - x.square() + mean(target.square()) - y.square()
    covariance = mean(restored * target) - x * y
    similarity = (2 * x * y + _C1) * (2 * covariance + _C2)
    similarity = similarity / ((x.square() + y.square() + _C1) * (variances + _C2))
    return torch.mean(similarity, dim=(1, 2, 3))
