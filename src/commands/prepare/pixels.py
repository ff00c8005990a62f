"""What an image shows, as one number: equal for equal pixels, whatever the file format."""

import hashlib
import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from src.core.errors import ImageFileError
from src.data.image_io import Pixels, decode_image
from src.data.pixel_limit import VARIABLE, apply_pixel_limit

_GREY = ("1", "L", "LA", "La")


def header(content: bytes, path: Path) -> tuple[int, int, int]:
    """Return width, height and channels (1 or 3) of an encoded image without decoding it.

    Raises:
        ImageFileError: If it is no image, or one beyond the limit of pixels.
    """
    apply_pixel_limit()
    try:
        with Image.open(io.BytesIO(content)) as image:
            grey = image.mode in _GREY or image.mode.startswith("I;16")
            return image.width, image.height, 1 if grey else 3
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageFileError(path, f"is too large ({error}); set {VARIABLE}=<pixels>.") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise ImageFileError(path, "is not an image, whatever its name says.") from error


def fingerprint(pixels: Pixels) -> str:
    """Return ``WxH:`` and the first 16 digits of a SHA-256 of uint8 ``pixels`` (H, W, C).

    What is hashed is the shape as text, ``HxWxC:``, and then the bytes of the array. Sixteen digits
    are 64 bits: enough to tell images apart, no protection against forgery.
    """
    digest = hashlib.sha256("x".join(map(str, pixels.shape)).encode() + b":")
    digest.update(pixels.tobytes())
    height, width, _ = pixels.shape
    return f"{width}x{height}:{digest.hexdigest()[:16]}"


def content_fingerprint(content: bytes, path: Path, channels: int) -> str:
    """Return the fingerprint of an encoded image with its own ``channels``, 1 or 3.

    Raises:
        ImageFileError: If it is damaged or cannot be used.
    """
    return fingerprint(decode_image(content, path=path, channels=channels))


def size_of(known: str) -> tuple[int, int]:
    """Return width and height of the image with this fingerprint."""
    width, _, height = known.partition(":")[0].partition("x")
    return int(width), int(height)
