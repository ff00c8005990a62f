"""What Pillow does with 8-bit images: bicubic resizing, as in many scores from Python, and JPEG.

Beside MATLAB's rule (:mod:`src.ops.resize`) Pillow's bicubic has the same kernel, also stretched
where an image shrinks, but pixels beyond the border do not count, the weights have limited
precision, and the horizontal pass comes first. JPEG goes through the real codec, libjpeg, of which
published tables are made.
"""

import io
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]


def pillow_resize(
    image: Float[Tensor, "b c h w"], size: tuple[int, int]
) -> Float[Tensor, "b c h2 w2"]:
    """Return the image in [0, 1] at ``size`` (height, width), in 8-bit levels, on its own device.

    Args:
        image: Rounded and clipped to 8 bits first; 1 or 3 channels.
        size: Height and width of the result in pixels.
    """
    height, width = size
    planes = [
        np.array(Image.fromarray(plane.numpy()).resize((width, height), Image.Resampling.BICUBIC))
        for plane in _levels(image).flatten(0, 1)
    ]
    resized = torch.from_numpy(np.stack(planes)).view(*image.shape[:2], height, width)
    return resized.to(image) / 255


def resample_to_multiple(image: Float[Tensor, "b c h w"], scale: int) -> Float[Tensor, "b c h2 w2"]:
    """Shrink H and W to the next multiple of ``scale`` by resizing the whole image.

    An image whose sides are multiples already stays as it is. Any other loses detail, so that it is
    easier to restore than one that is cut (:func:`src.ops.resize.mod_crop`).

    Raises:
        ValueError: If nothing would be left.
    """
    height, width = image.shape[-2:]
    if min(height, width) < scale:
        raise ValueError(f"{width}×{height} px is too small for scale {scale}; leave it out.")
    size = (height - height % scale, width - width % scale)
    return image if size == (height, width) else pillow_resize(image, size)


def jpeg(
    image: Float[Tensor, "c h w"], *, quality: int, subsampling: Subsampling = "4:2:0"
) -> Float[Tensor, "c h w"]:
    """Return an image in [0, 1] compressed and decompressed, on its own device.

    The image is rounded and clipped to 8 bits first. Quantisation uses libjpeg's standard tables.
    No gradient passes.

    Args:
        image: One channel, stored as it is, or RGB, stored as full-range BT.601 YCbCr.
        quality: 1 to 100.
        subsampling: How chroma is thinned out; without effect on one channel.
    """
    options = {} if len(image) == 1 else {"subsampling": subsampling}
    return _through_file(image, format="JPEG", quality=quality, **options)


def webp(image: Float[Tensor, "c h w"], *, quality: int) -> Float[Tensor, "c h w"]:
    """Return an image in [0, 1] compressed by lossy WebP and decompressed, on its own device.

    The image is rounded and clipped to 8 bits first. No gradient passes.

    Args:
        image: One channel, or RGB.
        quality: 1 to 100.
    """
    colour = image if len(image) == 3 else image.expand(3, -1, -1)
    return _through_file(colour, format="WEBP", quality=quality)[: len(image)]


def _through_file(image: Tensor, **options: Any) -> Tensor:  # noqa: ANN401
    levels = _levels(image)
    pixels = levels[0] if len(levels) == 1 else levels.permute(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(file, **options)
    with Image.open(file) as decoded:
        result = torch.from_numpy(np.array(decoded))
    result = result[None] if result.ndim == 2 else result.permute(2, 0, 1)
    return (result.to(image) / 255).contiguous()


def _levels(image: Tensor) -> Tensor:
    return (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
