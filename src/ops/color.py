"""Colour conversions with the constants that papers' numbers rest on."""

from jaxtyping import Float, UInt8
from torch import Tensor, int32, uint8

# MATLAB's rgb2ycbcr (ITU-R BT.601, "video range" 16 to 235), for R, G, B in [0, 1].
LUMA = (65.481, 128.553, 24.966)
_LUMA_OFFSET = 16.0
# The same with 64.738 / 256 for red where 65.738 / 256 is meant: copied through several public
# evaluations in Python (yjn870/FSRCNN-pytorch, utils.py), and part of the scores that they print.
LUMA_SLIP = (64.738 * 255 / 256, 129.057 * 255 / 256, 25.064 * 255 / 256)

# MATLAB's rgb2gray: the first row of the inverse of NTSC's YIQ, full range.
GREY = (0.298936021293775, 0.587043074451121, 0.114020904255103)


def luma(
    image: Float[Tensor, "b 3 h w"], weights: tuple[float, float, float] = LUMA
) -> Float[Tensor, "b 1 h w"]:
    """Return BT.601 luma of RGB in [0, 1], in [16/255, 235/255], not rounded, as MATLAB does.

    Args:
        image: RGB in [0, 1].
        weights: Of red, green and blue, in levels of 255; MATLAB's, or ``LUMA_SLIP``.
    """
    weighted = image * image.new_tensor(weights).view(1, 3, 1, 1)
    return (weighted.sum(dim=1, keepdim=True) + _LUMA_OFFSET) / 255


def grey_level(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Return the level of grey of an RGB image in [0, 1]: luma in full range, so grey stays."""
    weights = image.new_tensor(LUMA).view(1, 3, 1, 1)
    return (image * (weights / weights.sum())).sum(dim=1, keepdim=True)


def luma8(image: UInt8[Tensor, "b 3 h w"]) -> UInt8[Tensor, "b 1 h w"]:
    """Return BT.601 luma of 8-bit RGB, 16 to 235, rounded half up, as MATLAB does with uint8.

    The arithmetic is in whole numbers, so that no half is lost.
    """
    weights = image.new_tensor([round(1000 * weight) for weight in LUMA], dtype=int32)
    thousandths = (image * weights.view(1, 3, 1, 1)).sum(dim=1, keepdim=True, dtype=int32)
    return ((thousandths + 127500) // 255000 + 16).to(uint8)


def grey8(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Return the grey of 8-bit RGB in [0, 1], 0 to 255 and rounded, as MATLAB's rgb2gray does."""
    levels = (image * 255 * image.new_tensor(GREY).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    return (levels + 0.5).floor() / 255
