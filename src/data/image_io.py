"""Image files to arrays of their depth, and back, through Pillow."""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from src.core.errors import ConfigError, DataError, ImageFileError
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
    unit_floats,
    wide_colour,
)
from src.ops.color import luma, luma8

Grey = Literal["content", "file"]
"""What decides whether an image is grey: its pixels, or how many channels its file has."""
GREY: tuple[Grey, ...] = ("content", "file")

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
AVIF = find_spec("PIL._avif") is not None
"""Whether this Pillow has the decoder; it came with 11.3."""

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP", *(("AVIF",) if AVIF else ()))
"""What is opened, whatever a file's name says: other decoders are for nobody's photographs, and one
of them, PostScript's, hands the file to an outside program."""

_GREY = ("1", "L", "LA", "La")
_PLANES, _SIGNED, _WHITE_IS_ZERO = 2, 2, 0  # values of tags of TIFF
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)

PIXEL_LIMIT = "EXEMPLAR_MAX_PIXELS"
"""Environment variable with the limit; of the environment, so that loader processes have it too."""

DEFAULT_PIXEL_LIMIT = 178_956_970
"""Pixels: half a gigabyte as RGB, which is also Pillow's own limit."""


_BYTES_A_PIXEL = 32  # three floats of 8 bytes, and what may stand beside them


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


def read_image(path: Path, *, channels: int, grey: Grey = "content") -> Pixels:
    """Return the image at ``path`` as (H, W, ``channels``); see :func:`decode_image`.

    Raises:
        ImageFileError: If the file is missing, unreadable, or no image this can use.
    """
    return decode_image(read_bytes(path), path=path, channels=channels, grey=grey)


def read_bytes(path: Path, *, most: int = -1) -> bytes:
    """Return the content of ``path``, or its first ``most`` bytes.

    Raises:
        ImageFileError: If it is missing, empty, larger than any image that is decoded, or may not
            be read.
    """
    limit = apply_pixel_limit()
    try:
        size = path.stat().st_size
        if most < 0 and limit is not None and size > _BYTES_A_PIXEL * limit:
            raise ImageFileError(
                path,
                f"has {size / 1e9:.1f} GB, more than {limit} pixels can take; cut it into smaller "
                f"images, or set {PIXEL_LIMIT}=<pixels>.",
            )
        with path.open("rb") as file:
            content = file.read(most)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ImageFileError(path, f"cannot be opened: {reason}.") from error
    if not content:
        raise ImageFileError(path, "is empty (0 bytes); copy it again.")
    return content


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
        return np.asarray(upright).astype(np.uint16)[..., None]
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


@contextmanager
def opened(
    path: Path, content: bytes | None = None, *, floats: bool = False
) -> Iterator[Image.Image]:
    """Yield an encoded image, not decoded yet, that this can use.

    Args:
        path: The file.
        content: Its bytes; None has no more of it read than is asked for.
        floats: Whether a TIFF of floating-point grey can be used.

    Raises:
        ImageFileError: For what is no image, animated, of unknown range (floating point, 32-bit
            integers), of more pixels than :func:`apply_pixel_limit` allows, 179 million, or known
            to be decoded wrongly; from the block too, for what turns out to be damaged.
    """
    apply_pixel_limit()
    try:
        source = path if content is None else io.BytesIO(content)
        with Image.open(source, formats=FORMATS) as image:
            _refuse_unusable(image, path, floats=floats)
            yield image
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


def has_one_channel(image: Image.Image) -> bool:
    """Say whether an image is stored as one channel, beside alpha."""
    return image.mode in _GREY or image.mode.startswith("I;16") or image.mode == "F"


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


def _refuse_unusable(image: Image.Image, path: Path, *, floats: bool) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # MPO: a phone's JPEG with a preview behind it
        raise ImageFileError(path, f"holds {frames} frames; save the one you want as PNG.")
    if image.mode in ({"I"} if floats else {"F", "I"}):
        kind = "floating-point" if image.mode == "F" else "32-bit integer"
        reason = f"has {kind} pixels of unknown range; save it with 8 or 16 bits."
        raise ImageFileError(path, reason)
    if _in_planes(image):
        reason = "has its channels one after the other, which Pillow mixes up; save it as PNG."
        raise ImageFileError(path, reason)
    if _tag(image, ExifTags.Base.SampleFormat, 1) == _SIGNED:
        raise ImageFileError(path, "has signed pixels; save it with unsigned ones.")


def _in_planes(image: Image.Image) -> bool:
    """Say whether a TIFF is stored plane by plane, with 16 bits or as grey and alpha."""
    if _tag(image, ExifTags.Base.PlanarConfiguration, 1) != _PLANES:
        return False
    return image.mode == "LA" or _tag(image, ExifTags.Base.BitsPerSample, 8) != 8


def _tag(image: Image.Image, number: int, default: int) -> int:
    """Return the (first) value of a tag of a TIFF; ``default`` without one, or for other files."""
    value = getattr(image, "tag_v2", {}).get(number, default)
    return int(value[0] if isinstance(value, tuple) else value)


def scaled_tiff(image: Image.Image) -> Image.Image:
    """Return a TIFF of 12 bits with 16, and 16-bit grey with 0 for black."""
    if not image.mode.startswith("I;16"):
        return image
    twelve = _tag(image, ExifTags.Base.BitsPerSample, 16) == 12
    inverted = _tag(image, ExifTags.Base.PhotometricInterpretation, 1) == _WHITE_IS_ZERO
    if not twelve and not inverted:
        return image
    levels = np.asarray(image).astype(np.uint32)  # decoded, and upright since Pillow did that
    levels = (levels * 65535 + 2047) // 4095 if twelve else levels
    return Image.fromarray((65535 - levels if inverted else levels).astype(np.uint16))


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
