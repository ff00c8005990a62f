"""Pixels at the depth that their file stores: 8 or 16 bits, or floats in [0, 1]."""

import io
import math
import sys
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from src.core.errors import ImageFileError

Levels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Pixels = Levels | npt.NDArray[np.float32]

WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535, np.dtype(np.float32): 1}
"""The value of white, of each type that pixels have."""

ARRAY = ".npy"
"""The ending of NumPy's files: what has more bits than an image file keeps."""

# A reading of 16-bit colour with the other byte order gives the bytes that Pillow leaves out.
_OTHER_ORDER = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}


def raw_mode(image: Image.Image) -> str:
    """Return how the pixels are stored, e.g. ``RGB;16B``; empty where Pillow does not say."""
    tiles = getattr(image, "tile", None) or [("", (), 0, ())]
    arguments = tiles[0][3] or ("",)
    return str(arguments if isinstance(arguments, str) else arguments[0])


def other_order(image: Image.Image) -> list[Any]:
    """Return the tiles of 16-bit RGB or RGBA with the other byte order; none for other images."""
    mode, _, order = raw_mode(image).partition(";")
    if mode not in {"RGB", "RGBA"} or order not in _OTHER_ORDER or "transparency" in image.info:
        return []
    raw = f"{mode};{_OTHER_ORDER[order]}"
    return [
        tile._replace(args=raw if isinstance(tile.args, str) else (raw, *tile.args[1:]))
        for tile in image.tile  # type: ignore[attr-defined]
    ]


def wide_colour(image: Image.Image, content: bytes, tiles: list[Any]) -> npt.NDArray[np.uint16]:
    """Return 16-bit colour with all its bits, upright; ``tiles`` are from :func:`other_order`."""
    with Image.open(io.BytesIO(content), formats=[str(image.format)]) as again:
        again.tile = tiles
        halves = [np.asarray(ImageOps.exif_transpose(half)) for half in (image, again)]
    high, low = (half.astype(np.uint16) for half in halves)
    return ((high << 8) | low).astype(np.uint16)


def over_white(pixels: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """Return 16-bit RGB of RGB or RGBA (H, W, 3 or 4), what is transparent laid over white."""
    if pixels.shape[2] == 3:
        return pixels
    colour, alpha = pixels[..., :3].astype(np.uint64), pixels[..., 3:].astype(np.uint64)
    return ((colour * alpha + 65535 * (65535 - alpha) + 32767) // 65535).astype(np.uint16)


def transparent_grey(
    image: Image.Image, grey: npt.NDArray[np.uint16]
) -> npt.NDArray[np.bool_] | None:
    """Return where 16-bit grey is transparent, which Pillow does not apply; None if nowhere."""
    level = image.info.get("transparency")
    hit = grey == level if isinstance(level, int) else None
    return hit if hit is not None and hit.any() else None


Shape = tuple[int, int, int]


def array_shape(content: bytes, path: Path) -> tuple[Shape, bool, np.dtype[Any], int]:
    """Return (H, W, C) of an array file, whether it is in Fortran's order, its type, its offset.

    Nothing is read beyond what the file has, whatever its head says.

    Raises:
        ImageFileError: If it contains no array of grey or RGB in a type that is read.
    """
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = read[version[0]](file)
    except _NO_HEAD as error:
        raise ImageFileError(path, f"is no array of NumPy ({error}); save it again.") from error
    full = (*shape, 1) if len(shape) == 2 else shape
    sizes = all(type(side) is int and side > 0 for side in full)
    if not sizes or len(full) != 3 or full[2] not in {1, 3} or dtype.str[1:] not in _TYPES:
        raise ImageFileError(
            path,
            f"is an array of {dtype} {shape}; save (H, W) or (H, W, 3) as uint8, uint16 or, in "
            "[0, 1], as floats.",
        )
    if len(content) - file.tell() != math.prod(full) * dtype.itemsize:
        raise ImageFileError(path, "is damaged (its head names another size); save it again.")
    return full, fortran, dtype, file.tell()


_TYPES = ("u1", "u2", "f2", "f4", "f8")
_NO_HEAD = (ValueError, LookupError, OSError, SyntaxError, TypeError, MemoryError, RecursionError,
            TokenError)  # fmt: skip
"""What NumPy raises on a head, which it reads as Python: some come from the parser."""


def decode_array(content: bytes, path: Path) -> Pixels:
    """Return the pixels (H, W, 1 or 3) of a NumPy file; floats as :func:`unit_floats`.

    Raises:
        ImageFileError: As :func:`array_shape` and :func:`unit_floats`.
    """
    shape, fortran, dtype, offset = array_shape(content, path)
    flat = np.frombuffer(content, dtype, offset=offset)
    values = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
    if dtype.kind == "f":
        return unit_floats(values, path)
    levels: Levels = np.ascontiguousarray(values.astype(dtype.newbyteorder("=")))
    return levels


def unit_floats(values: npt.NDArray[np.floating], path: Path) -> npt.NDArray[np.float32]:
    """Return float32 pixels in [0, 1].

    Raises:
        ImageFileError: If a value is outside, or none at all; their scale is then not known.
    """
    undefined = int(np.isnan(values).sum())
    if undefined:
        raise ImageFileError(path, f"has {undefined} values that are NaN; write them again.")
    least, most = float(values.min()), float(values.max())
    if not (least >= 0 and most <= 1):
        raise ImageFileError(
            path,
            f"has values from {least:g} to {most:g}; floats must be in [0, 1]: divide by the value "
            "of white and clip.",
        )
    return np.ascontiguousarray(values, np.float32)
