"""Padding to a size that an operation can take."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def pad_to_multiple(
    image: Float[Tensor, "b c h w"], multiple: int, *, least: int = 1
) -> Float[Tensor, "b c h2 w2"]:
    """Extend bottom and right up to multiples of ``multiple`` that are at least ``least``.

    The image is mirrored without repeating its border; where it is too small for that, its border
    is repeated.
    """
    bottom, right = (
        -(-max(size, least) // multiple) * multiple - size for size in image.shape[-2:]
    )
    if not bottom and not right:
        return image
    mirror = bottom < image.shape[-2] and right < image.shape[-1]
    return F.pad(image, (0, right, 0, bottom), mode="reflect" if mirror else "replicate")


def mirror_to_multiple(
    image: Float[Tensor, "b c h w"], multiple: int
) -> Float[Tensor, "b c h2 w2"]:
    """Do as ``pad_to_multiple`` without a decision that depends on the size.

    One traced program does for all sizes, those that need no padding included. Where the image is
    too small for mirroring, its first row or column is repeated.
    """
    for axis in (-2, -1):
        size = image.shape[axis]
        wanted = (size + multiple - 1) // multiple * multiple
        index = torch.arange(wanted, device=image.device)
        mirrored = torch.where(index < size, index, 2 * (size - 1) - index).clamp(min=0)
        image = image.index_select(axis, mirrored)
    return image


def cut(image: Float[Tensor, "b c h w"], height: int, width: int) -> Float[Tensor, "b c h2 w2"]:
    """Return the first rows and columns, also without a decision that depends on the size."""
    rows = image.index_select(-2, torch.arange(height, device=image.device))
    return rows.index_select(-1, torch.arange(width, device=image.device))
