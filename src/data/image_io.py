"""Image files to 8-bit arrays and back, through Pillow."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from src.core.errors import ConfigError, DataError, ImageFileError
from src.core.files import replacing
from src.ops.color import luma8

Pixels = npt.NDArray[np.uint8]

# What Pillow's decoders raise on damaged files, besides OSError.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    RuntimeError,  # NotImplementedError among them
)
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""What is opened, whatever a file's name says: other decoders are for nobody's photographs, and one
of them, PostScript's, hands the file to an outside program."""

_GREY = ("1", "L", "LA", "La")
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)

PIXEL_LIMIT = "EXEMPLAR_MAX_PIXELS"
"""Environment variable with the limit; of the environment, so that loader processes have it too."""

DEFAULT_PIXEL_LIMIT = 178_956_970
"""Pixels: half a gigabyte as RGB, which is also Pillow's own limit."""


def apply_pixel_limit() -> int | None:
    """Make Pillow refuse images of more pixels than ``EXEMPLAR_MAX_PIXELS``; return that limit.

    Files of a few kilobytes can unpack to gigabytes. 0 lifts the limit, and None is returned.
    Pillow counts for itself when it opens a file, before it decodes; it refuses what is above
    twice its ``MAX_IMAGE_PIXELS``, and remarks on what is above it once.

    Raises:
        ConfigError: If the variable holds no number of pixels.
    """
    text = os.environ.get(PIXEL_LIMIT, str(DEFAULT_PIXEL_LIMIT))
    if not text.isdecimal():
        raise ConfigError(
            f"{PIXEL_LIMIT}={text} must be a whole number of pixels, e.g. {DEFAULT_PIXEL_LIMIT}; "
            "0 for no limit."
        )
    limit = int(text) or None
    Image.MAX_IMAGE_PIXELS = None if limit is None else max(1, limit // 2)
    return limit


def read_image(path: Path, *, channels: int) -> Pixels:
    """Return the image at ``path`` as uint8 (H, W, ``channels``); see :func:`decode_image`.

    Raises:
        ImageFileError: If the file is missing, unreadable, or no image this can use.
    """
    return decode_image(read_bytes(path), path=path, channels=channels)


def read_bytes(path: Path) -> bytes:
    """Return the content of ``path``.

    Raises:
        ImageFileError: If it is missing, empty, or may not be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ImageFileError(path, f"cannot be opened: {reason}.") from error
    if not content:
        raise ImageFileError(path, "is empty (0 bytes); copy it again.")
    return content


def decode_image(content: bytes, *, path: Path, channels: int) -> Pixels:
    """Return an encoded image as uint8 (H, W, ``channels``), upright.

    EXIF orientation is applied. Opaque alpha is dropped, other alpha is composited over white.
    16-bit grey is divided by 257 and rounded; of 16-bit colour, Pillow reads the high byte.
    CMYK is converted without its ICC profile; other profiles are ignored.

    Args:
        content: The bytes of the file.
        path: Where they come from, for messages.
        channels: 3 for RGB (grey is repeated), 1 for luma as in the papers: of colour MATLAB's
            8-bit BT.601 luma, 16 to 235; grey as it is.

    Raises:
        ImageFileError: For what is no image, damaged, animated, of unknown range (floating point,
            32-bit integers), or of more pixels than
            :func:`apply_pixel_limit` allows, 179 million.
    """
    apply_pixel_limit()
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _refuse_unusable(image, path)
            grey = is_grey(image)
            return _to_channels(_to_8bit(ImageOps.exif_transpose(image)), channels, grey=grey)
    except UnidentifiedImageError as error:
        kinds = ", ".join(FORMATS)
        reason = f"is not an image, whatever its name says, or none of {kinds}; convert it to PNG."
        raise ImageFileError(path, reason) from error
    except _BOMB as error:
        reason = (
            f"is too large ({error}); cut it into smaller images, or set {PIXEL_LIMIT}=<pixels>."
        )
        raise ImageFileError(path, reason) from error
    except _DAMAGE as error:
        reason = f"is damaged or cannot be converted ({error}); copy or convert it again."
        raise ImageFileError(path, reason) from error


def is_grey_file(path: Path) -> bool:
    """Say whether the image file at ``path`` has one channel (beside alpha); reads its header only.

    Raises:
        ImageFileError: If it is missing or no image.
    """
    apply_pixel_limit()
    try:
        with Image.open(path, formats=FORMATS) as image:
            return is_grey(image)
    except (*_BOMB, *_DAMAGE) as error:
        raise ImageFileError(path, f"cannot be read again ({error}).") from error


def is_grey(image: Image.Image) -> bool:
    """Say whether an image has one channel, beside alpha."""
    return image.mode in _GREY or image.mode.startswith("I;16")


def _refuse_unusable(image: Image.Image, path: Path) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # MPO: a phone's JPEG with a preview behind it
        raise ImageFileError(path, f"holds {frames} frames; save the one you want as PNG.")
    if image.mode in {"F", "I"}:
        kind = "floating-point" if image.mode == "F" else "32-bit integer"
        reason = f"has {kind} pixels of unknown range; save it with 8 or 16 bits."
        raise ImageFileError(path, reason)


def _to_8bit(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8))
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _to_channels(image: Image.Image, channels: int, *, grey: bool) -> Pixels:
    converted = image.convert("L" if grey and channels == 1 else "RGB")
    pixels = np.array(converted, dtype=np.uint8)  # a copy: Pillow's own is read-only
    return with_channels(pixels.reshape(converted.height, converted.width, -1), channels)


def with_channels(pixels: Pixels, channels: int) -> Pixels:
    """Return ``pixels`` (H, W, 1 or 3) with ``channels`` channels, converted as a file would be."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    planes = torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))
    return luma8(planes[None])[0].permute(1, 2, 0).contiguous().numpy()


def write_png(path: Path, image: Pixels) -> None:
    """Write ``image``, uint8 (H, W, 1 or 3), to ``path`` whole or not at all.

    Raises:
        OSError: If the folder cannot be written or the disk is full.
    """
    with replacing(path) as temporary:
        Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(
            temporary, format="PNG"
        )


def to_tensor(image: Pixels) -> Tensor:
    """Return uint8 (H, W, C) as float32 (C, H, W) in [0, 1], contiguous."""
    planes = torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))
    return planes.float() / 255


def to_image(tensor: Tensor) -> Pixels:
    """Return (C, H, W) in [0, 1] as uint8 (H, W, C): clamped, then rounded half to even.

    Raises:
        DataError: If a value is NaN, which no pixel can show.
    """
    values = tensor.detach().cpu().float()
    if bool(values.isnan().any()):
        raise DataError("An image holds NaN: the network diverged. Lower optimizer.lr, or look for "
                        "the first NaN with debug=anomaly.")  # fmt: skip
    levels = (values.clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().numpy()
