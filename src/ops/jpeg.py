"""JPEG through the real codec, Pillow's libjpeg: what tables are made of."""

import io
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]


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
    levels = (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    pixels = levels[0] if len(levels) == 1 else levels.permute(1, 2, 0)
    file = io.BytesIO()
    options = {} if len(levels) == 1 else {"subsampling": subsampling}
    Image.fromarray(pixels.numpy()).save(file, format="JPEG", quality=quality, **options)
    with Image.open(file) as decoded:
        result = torch.from_numpy(np.array(decoded))
    result = result[None] if result.ndim == 2 else result.permute(2, 0, 1)
    return (result.to(image) / 255).contiguous()
