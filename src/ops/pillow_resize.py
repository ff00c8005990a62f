"""Bicubic resizing as Pillow does it with 8-bit images: the rule behind many scores made in Python.

Beside MATLAB's rule (:mod:`src.ops.resize`): the same kernel, also stretched where an image
shrinks, but pixels beyond the border do not count, the weights have limited precision, and the
horizontal pass comes first.
"""

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor


def pillow_resize(
    image: Float[Tensor, "b c h w"], size: tuple[int, int]
) -> Float[Tensor, "b c h2 w2"]:
    """Return the image in [0, 1] at ``size`` (height, width), in 8-bit levels, on its own device.

    Args:
        image: Rounded and clipped to 8 bits first; 1 or 3 channels.
        size: Height and width of the result in pixels.
    """
    levels = (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    height, width = size
    planes = [
        np.array(Image.fromarray(plane.numpy()).resize((width, height), Image.Resampling.BICUBIC))
        for plane in levels.flatten(0, 1)
    ]
    resized = torch.from_numpy(np.stack(planes)).view(*image.shape[:2], height, width)
    return resized.to(image) / 255


def resample_to_multiple(image: Float[Tensor, "b c h w"], scale: int) -> Float[Tensor, "b c h2 w2"]:
    """Shrink H and W to the next multiple of ``scale`` by resizing the whole image.

    What an image that is a multiple already holds stays as it is. Any other loses detail, so that
    it is easier to restore than one that is cut (:func:`src.ops.resize.mod_crop`).

    Raises:
        ValueError: If nothing would be left.
    """
    height, width = image.shape[-2:]
    if min(height, width) < scale:
        raise ValueError(f"{width}×{height} px is too small for scale {scale}; leave it out.")
    size = (height - height % scale, width - width % scale)
    return image if size == (height, width) else pillow_resize(image, size)
