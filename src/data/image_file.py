"""Image files opened through Pillow: which can be used, and of how many pixels."""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from src.core.errors import ConfigError, ImageFileError

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
    except (OSError, ValueError) as error:  # the latter of a name with a zero byte
        reason = getattr(error, "strerror", None) or error
        raise ImageFileError(path, f"cannot be opened: {reason}.") from error
    if not content:
        raise ImageFileError(path, "is empty (0 bytes); copy it again.")
    return content


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
