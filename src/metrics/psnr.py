"""Peak signal-to-noise ratio of each image."""

from jaxtyping import Float
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio


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
