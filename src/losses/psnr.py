"""PSNR itself as a loss, image by image (as in HINet, arXiv:2105.06086, Sec. 4)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class PSNRLoss(nn.Module):
    """Mean of 10·log10(MSE + floor) over the images of a batch, in dB: minus their mean PSNR.

    Each image counts by its relative error, so in training that is blind to the level of a
    degradation the hard levels do not outweigh the easy ones.

    Args:
        floor: Added to the mean squared error (intensities in [0, 1]), so that images that are
            nearly exact do not rule the batch: 1e-5 is an error of 0.8 levels of 255.
    """

    def __init__(self, *, floor: float = 1e-5) -> None:
        super().__init__()
        if not 0 < floor < math.inf:
            raise ValueError(f"floor must be a positive number, got {floor}.")
        self.floor = floor

    def forward(
        self,
        restored: Float[Tensor, "batch channels height width"],
        target: Float[Tensor, "batch channels height width"],
    ) -> Float[Tensor, ""]:
        """Return the mean over images, in dB; negative for useful images."""
        errors = (restored - target).square().flatten(1).mean(1)
        return 10 * torch.log10(errors + self.floor).mean()
