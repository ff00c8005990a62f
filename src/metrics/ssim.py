"""Structural similarity of each image (Wang et al., 2004, doi:10.1109/TIP.2003.819861)."""

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

WINDOW = 11


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
    result = structural_similarity_index_measure(
        restored, target, data_range=1.0, reduction="none", return_full_image=True
    )
    full: Tensor = result[1]
    inner = full[..., WINDOW // 2 : -(WINDOW // 2), WINDOW // 2 : -(WINDOW // 2)]
    return torch.mean(inner, dim=(1, 2, 3))
