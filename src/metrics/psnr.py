"""Peak signal-to-noise ratio of each image, also as PSNR-B, which counts blocking."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

BLOCK = 8


def psnr(
    restored: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """Return each image's PSNR in dB for intensities in [0, 1]; equal images give infinity.

    Papers print the mean of these, not torchmetrics' default, the PSNR of the pooled error.
    """
    scores: Tensor = peak_signal_noise_ratio(
        restored, target, data_range=1.0, reduction="none", dim=(1, 2, 3)
    )
    return scores.reshape(-1)


def psnr_b(
    restored: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """Return each image's PSNR-B in dB, mean over channels, for intensities in [0, 1].

    The mean squared error grows by the blocking effect factor of the restored image (Yim and Bovik,
    2011, doi:10.1109/TIP.2010.2061859, eq. 14 to 20): by how much steps across the borders of 8×8
    blocks, which begin in the corner, exceed those elsewhere. torchmetrics divides by other counts
    of steps than the paper, and takes grey images only.

    Raises:
        ValueError: If an image has no border between blocks.
    """
    height, width = target.shape[-2:]
    if min(height, width) <= BLOCK:
        raise ValueError(f"PSNR-B needs more than {BLOCK}×{BLOCK} pixels, not {width}×{height}.")
    error = (restored - target).square().mean(dim=(2, 3)) + _blocking(restored)
    return (-10 * torch.log10(error)).mean(dim=1)


def _blocking(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c"]:
    """Return the blocking effect factor of each channel."""
    borders, others = [], []
    for axis in (-2, -1):
        steps = image.diff(dim=axis).square()
        border = torch.arange(1, steps.shape[axis] + 1, device=image.device) % BLOCK == 0
        borders.append(steps.index_select(axis, border.nonzero()[:, 0]).flatten(2))
        others.append(steps.index_select(axis, (~border).nonzero()[:, 0]).flatten(2))
    excess = torch.cat(borders, dim=2).mean(dim=2) - torch.cat(others, dim=2).mean(dim=2)
    weight = math.log2(BLOCK) / math.log2(min(image.shape[-2:]))
    return weight * excess.clamp(min=0)
