"""Padding to a size that an operation can take."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def pad_to_multiple(image: Float[Tensor, "b c h w"], multiple: int) -> Float[Tensor, "b c h2 w2"]:
    """Extend bottom and right up to multiples of ``multiple``.

    The image is mirrored without repeating its border; where it is too small for that, its border
    is repeated.
    """
    bottom, right = (-size % multiple for size in image.shape[-2:])
    if not bottom and not right:
        return image
    mirror = bottom < image.shape[-2] and right < image.shape[-1]
    return F.pad(image, (0, right, 0, bottom), mode="reflect" if mirror else "replicate")
