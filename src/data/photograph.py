"""Photographs read from files: what a network restores, and what goes round it into the result."""

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor

from src.data.depth import Levels, other_order, raw_mode, transparent_grey, wide_colour
from src.data.image_file import has_one_channel, opened, read_bytes, scaled_tiff
from src.data.image_io import is_grey
from src.ops.level import jpeg_quality

_CONVERTED = {
    "1": "1 bit a pixel becomes 8",
    "P": "a palette becomes RGB",
    "PA": "a palette becomes RGB",
    "CMYK": "CMYK becomes RGB",
    "LAB": "Lab becomes RGB",
}
_BASE = ExifTags.Base
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, KeyError, AttributeError, RuntimeError,
           struct.error)  # fmt: skip
# What of a TIFF's tags describes the photograph; the others describe the file.
_DESCRIBING = {_BASE.ImageDescription, _BASE.Make, _BASE.Model, _BASE.Software, _BASE.DateTime,
               _BASE.Artist, _BASE.Copyright}  # fmt: skip
_APART = {_BASE.Orientation, _BASE.ExifOffset, _BASE.GPSInfo}
_RECORDS = {33723, 34377}  # tags of TIFF
_LOSSLESS = {"tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "lzma", "zstd"}
_XMP_ORIENTATION = rb'tiff:Orientation="\d"|<tiff:Orientation>\d</tiff:Orientation>'


@dataclass(frozen=True)
class Photograph:
    """An image file taken apart."""

    # float32 (C, H, W) in [0, 1], upright: 1 channel where nothing is coloured, else 3.
    image: Tensor
    alpha: Tensor | None  # float32 (1, H, W) in [0, 1]; None where all is opaque
    depth: int  # bits a channel, 8 or 16
    channels: int  # 1 or 3, as the file has them beside alpha
    quality: int | None  # of a JPEG, as its tables tell; None for other files
    # Colour profile, EXIF, XMP, resolution, comment, a TIFF's compression, under Pillow's names.
    extras: Mapping[str, Any]
    remarks: tuple[str, ...]  # what of the file is not in here


def read_photograph(path: Path, content: bytes | None = None) -> Photograph:
    """Return the photograph of a file, upright.

    With ``content``, the bytes of the file, ``path`` is a name for messages.

    Raises:
        ImageFileError: As :func:`src.data.image_file.opened`.
    """
    content = read_bytes(path) if content is None else content
    with opened(path, content) as image:
        remarks = [_CONVERTED[image.mode]] if image.mode in _CONVERTED else []
        raw, tiles = raw_mode(image), other_order(image)
        tables = getattr(image, "quantization", None)
        # Now, as asking for EXIF decodes some, where damaged pixels would pass for damaged EXIF;
        # the tiles are gone then.
        image.load()
        exif = _exif(image)
        levels = wide_colour(image, content, tiles) if tiles else _levels(image)
        if ";16" in raw and levels.dtype == np.uint8:
            remarks.append("16 bits a channel are read as 8")
        extras = _extras(image) | ({"exif": exif} if exif else {})
        remarks += ["the EXIF is damaged and not kept"] if exif is None else []
        remarks += [f"the {name} is not kept" for name in _unkept(image)]
    colour, alpha = levels, None
    if levels.shape[2] in (2, 4):
        colour, alpha = levels[..., :-1], _planes(levels[..., -1:])
    image_planes = _planes(colour[..., -1:] if is_grey(colour) else colour)
    depth = 8 * levels.dtype.itemsize
    quality = jpeg_quality(tables) if tables else None
    return Photograph(image_planes, alpha, depth, colour.shape[2], quality, extras, tuple(remarks))


def _levels(image: Image.Image) -> Levels:
    """Return the pixels upright, (H, W, C): grey or RGB, with alpha last where there is any."""
    image = ImageOps.exif_transpose(scaled_tiff(image))
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint16)[..., None]
        see_through = transparent_grey(image, grey)
        if see_through is None:
            return grey
        eight = (grey.astype(np.uint32) + 128) // 257  # as no format has alpha with 16-bit grey
        return np.concatenate([eight, 255 * ~see_through], axis=2).astype(np.uint8)
    one = has_one_channel(image)
    if image.has_transparency_data:
        return np.asarray(image.convert("LA" if one else "RGBA"))
    pixels = np.asarray(image.convert("L" if one else "RGB"))
    return pixels.reshape(*pixels.shape[:2], -1)


def _exif(image: Image.Image) -> bytes | None:
    """Return the EXIF without the orientation, which is applied; None where it is damaged."""
    try:
        source, kept = image.getexif(), Image.Exif()
        for tag, value in source.items():
            if tag not in _APART and (image.format != "TIFF" or tag in _DESCRIBING):
                kept[tag] = value
        for part in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            details = dict(source.get_ifd(part))
            details.pop(ExifTags.IFD.Interop, None)  # it would point at nothing
            if details:
                kept[part] = details
        return kept.tobytes() if len(kept) else b""
    except _BROKEN:
        return None


def _extras(image: Image.Image) -> dict[str, Any]:
    extras = {
        key: image.info[key] for key in ("icc_profile", "xmp", "comment") if image.info.get(key)
    }
    if "xmp" in extras:
        extras["xmp"] = re.sub(_XMP_ORIENTATION, b"", extras["xmp"])  # it is applied
    if image.mode in {"CMYK", "LAB"}:
        extras.pop("icc_profile", None)  # it describes other inks
    # Pillow says 1 of a TIFF that states none.
    stated = image.format != "TIFF" or ExifTags.Base.XResolution in getattr(image, "tag_v2", {})
    dpi = tuple(float(value) for value in image.info.get("dpi", ()) if stated)
    if len(dpi) == 2 and all(math.isfinite(value) and value > 0 for value in dpi):
        extras["dpi"] = dpi
    if image.info.get("compression") in _LOSSLESS:
        extras["compression"] = image.info["compression"]
    return extras


def _unkept(image: Image.Image) -> list[str]:
    """Return what of a file no result holds."""
    tags = getattr(image, "tag_v2", {})
    texts = {*getattr(image, "text", {})} - {"XML:com.adobe.xmp"}
    lost = {
        "text": bool(texts),
        "colour profile": image.mode in {"CMYK", "LAB"} and bool(image.info.get("icc_profile")),
        "IPTC or Photoshop record": bool(image.info.get("photoshop") or _RECORDS & {*tags}),
        "second picture": image.format == "MPO",
    }
    return [key for key, is_lost in lost.items() if is_lost]


def _planes(levels: Levels) -> Tensor:
    highest = np.iinfo(levels.dtype).max
    return torch.from_numpy(levels.transpose(2, 0, 1).astype(np.float32) / highest)
