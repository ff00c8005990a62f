"""Images as arrays of the depth of their file, read and written."""

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

from src.core.errors import DataError
from src.core.files import replacing
from src.data.depth import (
    ARRAY,
    WHITE,
    Levels,
    Pixels,
    array_shape,
    decode_array,
    other_order,
    over_white,
    transparent_grey,
    unit_floats,
    wide_colour,
)
from src.data.image_file import has_one_channel, opened, read_bytes, scaled_tiff
from src.ops.color import luma, luma8

Grey = Literal["content", "file"]
"""What decides whether an image is grey: its pixels, or how many channels its file has."""
GREY: tuple[Grey, ...] = ("content", "file")


def read_image(path: Path, *, channels: int, grey: Grey = "content") -> Pixels:
    """Return the image at ``path`` as (H, W, ``channels``); see :func:`decode_image`.

    Raises:
        ImageFileError: If the file is missing, unreadable, or no image this can use.
    """
    return decode_image(read_bytes(path), path=path, channels=channels, grey=grey)


def decode_image(content: bytes, *, path: Path, channels: int, grey: Grey = "content") -> Pixels:
    """Return an encoded image as (H, W, ``channels``), upright, in the depth of its file.

    That is uint8, uint16, or float32 in [0, 1]. EXIF orientation is applied. Opaque alpha is
    dropped, other alpha is composited over white. 12-bit grey is scaled to 16; 16-bit grey with
    alpha becomes 8. CMYK is converted without its ICC profile; other profiles are ignored.

    Args:
        content: The bytes of the file.
        path: Where they come from, for messages; ``.npy`` is an array of NumPy.
        channels: 3 for RGB (grey is repeated), 1 for luma as in the papers: of colour MATLAB's
            BT.601 luma, 16 to 235, with 8 bits where the image has 8, else not rounded; grey as
            it is.
        grey: What grey is: pixels without colour, in whatever file (:func:`is_grey`), or files of
            one channel alone, as in the papers' evaluations.

    Raises:
        ImageFileError: As :func:`opened`, and for what is damaged, or floats outside [0, 1].
    """
    if path.suffix.lower() == ARRAY:
        pixels = decode_array(content, path)
        one_channel = pixels.shape[2] == 1
    else:
        with opened(path, content, floats=True) as image:
            one_channel = has_one_channel(image)
            pixels = _decoded(image, content, path)
    if channels == 1 and grey == "file" and pixels.shape[2] == 3:
        return pixels[..., 1:2].copy() if one_channel else _luma(pixels)
    return with_channels(pixels, channels)


def _decoded(image: Image.Image, content: bytes, path: Path) -> Pixels:
    tiles = other_order(image)
    if tiles:
        return over_white(wide_colour(image, content, tiles))
    upright = ImageOps.exif_transpose(scaled_tiff(image))
    if upright.mode == "F":
        return unit_floats(np.asarray(upright)[..., None], path)
    if upright.mode.startswith("I;16"):
        grey = np.asarray(upright).astype(np.uint16)[..., None]
        see_through = transparent_grey(upright, grey)
        return grey if see_through is None else np.where(see_through, np.uint16(65535), grey)
    flat = _without_alpha(upright)
    # A copy: Pillow's own is read-only.
    pixels = np.array(flat.convert("L" if has_one_channel(flat) else "RGB"), dtype=np.uint8)
    return pixels.reshape(flat.height, flat.width, -1)


def stored_channels(path: Path) -> int:
    """Return how many channels a file has beside alpha, 1 or 3.

    Raises:
        ImageFileError: As :func:`opened`.
    """
    if path.suffix.lower() == ARRAY:
        return array_shape(read_bytes(path), path)[0][2]
    with opened(path, floats=True) as image:
        return 1 if has_one_channel(image) else 3


def is_grey(pixels: Pixels) -> bool:
    """Say whether (H, W, 1 or 3) shows no colour: its channels differ by one level at most.

    That one level is what the arithmetic of a lossy WebP makes of a grey image; of floats it is
    one of 16 bits.
    """
    if pixels.shape[2] == 1:
        return True
    level = 1 if pixels.dtype.kind == "u" else 1 / 65535
    wide = np.int32 if pixels.dtype.kind == "u" else np.float64
    thin = pixels[::16, ::16]  # colour shows here already, mostly
    return all(np.ptp(part.astype(wide), axis=2).max() <= level for part in (thin, pixels))


def _without_alpha(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def with_channels(pixels: Pixels, channels: int) -> Pixels:
    """Return ``pixels`` (H, W, 1 or 3) with ``channels`` channels, converted as a file would be."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return pixels.repeat(3, axis=2)
    return pixels[..., 1:2].copy() if is_grey(pixels) else _luma(pixels)


def _luma(pixels: Pixels) -> Pixels:
    if pixels.dtype != np.uint8:
        floats: npt.NDArray[np.float32] = luma(to_tensor(pixels)[None])[0, 0, ..., None].numpy()
        return floats
    planes = torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))
    levels: npt.NDArray[np.uint8] = luma8(planes[None])[0, 0, ..., None].numpy()
    return levels


def write_png(path: Path, image: Levels) -> None:
    """Write ``image``, uint8 (H, W, 1 or 3), to ``path`` whole or not at all.

    Raises:
        OSError: If the folder cannot be written or the disk is full.
    """
    with replacing(path) as temporary:
        Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(
            temporary, format="PNG"
        )


def to_tensor(image: Pixels) -> Tensor:
    """Return pixels (H, W, C) as float32 (C, H, W) in [0, 1], contiguous: value / white."""
    planes = torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))
    return planes.float() / WHITE[image.dtype]


def to_image(tensor: Tensor) -> npt.NDArray[np.uint8]:
    """Return (C, H, W) in [0, 1] as uint8 (H, W, C): clamped, then rounded half to even.

    Raises:
        DataError: If a value is NaN, which no pixel can show.
    """
    values = tensor.detach().cpu().float()
    refuse_nan(values)
    levels = (values.clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().numpy()


def refuse_nan(image: Tensor) -> None:
    """Raise DataError if a value is NaN."""
    if bool(image.isnan().any()):
        raise DataError("An image holds NaN: the network diverged. Lower optimizer.lr, or look for "
                        "the first NaN with debug=anomaly.")  # fmt: skip
