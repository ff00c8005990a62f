"""Photographs as files: what a network restores, and what goes round it into the result."""

import io
import math
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import ExifTags, Image, ImageOps, PngImagePlugin
from torch import Tensor

from src.core.files import replacing
from src.data.image_io import has_one_channel, is_grey, opened, read_bytes, refuse_nan, scaled_tiff
from src.ops.level import jpeg_quality

Levels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Kind:
    """A format that results are written in."""

    suffixes: tuple[str, ...]  # the first is given to new names
    alpha: bool  # whether it holds transparency
    grey16: bool  # whether Pillow writes 16-bit grey
    longest: int  # pixels a side
    keeps: frozenset[str]  # what of a photograph's extras it holds


_EMBEDDED = frozenset({"icc_profile", "exif", "xmp"})
KINDS: Final[Mapping[str, Kind]] = {
    "png": Kind((".png",), True, True, 2**31, _EMBEDDED | {"dpi"}),
    "tiff": Kind((".tif", ".tiff"), True, True, 2**31, _EMBEDDED | {"dpi"}),
    "jpeg": Kind((".jpg", ".jpeg"), False, False, 65_500, _EMBEDDED | {"dpi", "comment"}),
    "webp": Kind((".webp",), True, False, 16_383, _EMBEDDED),
    "bmp": Kind((".bmp",), False, False, 2**31, frozenset({"dpi"})),
}
"""The formats that results are written in, by the name that ``format=`` takes."""

UNWRITABLE = (ValueError, TypeError, KeyError, RuntimeError, struct.error)
"""What Pillow raises where a format cannot hold something, besides OSError."""

LOSSY = ("jpeg", "webp")
"""Those for which ``quality=`` says something."""

_SPOKEN = {
    "icc_profile": "colour profile",
    "exif": "EXIF",
    "xmp": "XMP",
    "dpi": "resolution",
    "comment": "comment",
    "text": "text",
    "frames": "second picture",
}
_CONVERTED = {
    "1": "1 bit a pixel becomes 8",
    "P": "a palette becomes RGB",
    "PA": "a palette becomes RGB",
    "CMYK": "CMYK becomes RGB",
    "LAB": "Lab becomes RGB",
}
_BASE = ExifTags.Base
_XMP = 700  # tag of TIFF
# What of a TIFF's tags describes the photograph; the others describe the file.
_DESCRIBING = {_BASE.ImageDescription, _BASE.Make, _BASE.Model, _BASE.Software, _BASE.DateTime,
               _BASE.Artist, _BASE.Copyright}  # fmt: skip
_APART = {_BASE.Orientation, _BASE.ExifOffset, _BASE.GPSInfo}
# A reading of 16-bit colour with the other byte order gives the bytes that Pillow leaves out.
_OTHER_ORDER = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}


@dataclass(frozen=True)
class Photograph:
    """An image file taken apart.

    Attributes:
        image: float32 (C, H, W) in [0, 1], upright: 1 channel where nothing is coloured, else 3.
        alpha: float32 (1, H, W) in [0, 1]; None where all is opaque.
        depth: Bits a channel, 8 or 16.
        channels: 1 or 3, as the file has them beside alpha.
        quality: Of a JPEG, as its tables tell; None for other files.
        extras: Colour profile, EXIF, XMP, resolution, comment, under Pillow's names.
        remarks: What of the file is not in here.
    """

    image: Tensor
    alpha: Tensor | None
    depth: int
    channels: int
    quality: int | None
    extras: Mapping[str, Any]
    remarks: tuple[str, ...]


def read_photograph(path: Path) -> Photograph:
    """Return the photograph of a file, upright.

    Raises:
        ImageFileError: As :func:`src.data.image_io.opened`.
    """
    content = read_bytes(path)
    with opened(path, content) as image:
        remarks = [_CONVERTED[image.mode]] if image.mode in _CONVERTED else []
        raw, tiles = _raw_mode(image), _swapped(image)
        tables = getattr(image, "quantization", None)
        exif = _exif(image)  # may decode, so that the tiles are gone
        levels = _wide_colour(image, content, tiles) if tiles else _levels(image)
        if ";16" in raw and levels.dtype == np.uint8:
            remarks.append("16 bits a channel are read as 8")
        extras = _extras(image) | ({"exif": exif} if exif else {})
        remarks += ["the EXIF is damaged and not kept"] if exif is None else []
        remarks += [f"the {_SPOKEN[key]} is not kept" for key in _unkept(image)]
    colour, alpha = levels, None
    if levels.shape[2] in (2, 4):
        colour, alpha = levels[..., :-1], _planes(levels[..., -1:])
    image_planes = _planes(colour[..., -1:] if is_grey(colour) else colour)
    depth = 8 * levels.dtype.itemsize
    quality = jpeg_quality(tables) if tables else None
    return Photograph(image_planes, alpha, depth, colour.shape[2], quality, extras, tuple(remarks))


def kind_of(image: Image.Image) -> tuple[str, str | None]:
    """Return in which of ``KINDS`` a result is written, and why it is not the file's own format.

    Args:
        image: From :func:`src.data.image_io.opened`, not decoded.
    """
    own = "jpeg" if image.format == "MPO" else str(image.format).lower()
    if own not in KINDS:
        return "png", f"{image.format} holds 256 colours: written as PNG"
    if own == "tiff" and _swapped(image):
        return "png", "a TIFF of 16-bit colour is written as PNG of 16 bits"
    if own == "bmp" and image.has_transparency_data:
        return "png", "a BMP with transparency is written as PNG"
    return own, None


def losses(photograph: Photograph, kind: str) -> list[str]:
    """Return in words what of ``photograph`` a file of ``kind`` does not hold."""
    holds, name = KINDS[kind], kind.upper()
    words = [*photograph.remarks]
    if photograph.alpha is not None and not holds.alpha:
        words.append(f"{name} has no transparency: laid over white")
    if photograph.depth == 16 and not _written_wide(photograph, kind):
        words.append(f"16 bits a channel become 8 as {name}")
    words += [
        f"{name} has no place for the {_SPOKEN[key]}: not kept"
        for key in photograph.extras
        if key not in holds.keeps
    ]
    return words


def write_photograph(
    path: Path, photograph: Photograph, kind: str, quality: int | None = None
) -> None:
    """Write ``photograph`` whole or not at all, with what of its extras ``kind`` holds.

    Args:
        path: The file.
        photograph: What is outside [0, 1] is clipped.
        kind: One of ``KINDS``.
        quality: 1 to 100, for JPEG and WebP; None is 95 without thinned-out colour for JPEG, and no
            loss for WebP.

    Raises:
        ValueError: If ``kind`` cannot hold it; see ``UNWRITABLE`` too.
        DataError: If the image holds NaN.
        OSError: If the folder cannot be written or the disk is full.
    """
    levels = _stored(photograph, kind)
    options = {
        key: value for key, value in photograph.extras.items() if key in KINDS[kind].keeps
    } | _options(kind, quality)
    if "exif" in options:
        options["exif"] = _resized(options["exif"], levels.shape)
    if "xmp" in options and kind == "png":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt(
            "XML:com.adobe.xmp", options.pop("xmp").decode("utf-8", "replace")
        )
    if "xmp" in options and kind == "tiff":
        options.setdefault("exif", Image.Exif())[_XMP] = options.pop("xmp")
    if max(levels.shape) > KINDS[kind].longest:
        raise ValueError(f"it holds {KINDS[kind].longest} pixels a side")
    with replacing(path) as temporary:
        if levels.dtype == np.uint16 and levels.shape[2] > 1:
            temporary.write_bytes(_wide_png(levels, options))
        else:
            flat = levels.squeeze(2) if levels.shape[2] == 1 else levels
            Image.fromarray(flat).save(temporary, format=kind.upper(), **options)


def _levels(image: Image.Image) -> Levels:
    """Return the pixels upright, (H, W, C): grey or RGB, with alpha last where there is any."""
    image = ImageOps.exif_transpose(scaled_tiff(image))
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)[..., None]
    one = has_one_channel(image)
    if image.has_transparency_data:
        return np.asarray(image.convert("LA" if one else "RGBA"))
    pixels = np.asarray(image.convert("L" if one else "RGB"))
    return pixels.reshape(*pixels.shape[:2], -1)


def _wide_colour(image: Image.Image, content: bytes, tiles: list[Any]) -> Levels:
    """Return 16-bit colour with all its bits; ``tiles`` are from :func:`_swapped`."""
    with Image.open(io.BytesIO(content), formats=[str(image.format)]) as again:
        again.tile = tiles
        halves = [np.asarray(ImageOps.exif_transpose(half)) for half in (image, again)]
    high, low = (half.astype(np.uint16) for half in halves)
    return ((high << 8) | low).astype(np.uint16)


def _raw_mode(image: Image.Image) -> str:
    """Return how the pixels are stored, e.g. ``RGB;16B``; empty where Pillow does not say."""
    tiles = getattr(image, "tile", None) or [("", (), 0, ())]
    arguments = tiles[0][3] or ("",)
    return str(arguments if isinstance(arguments, str) else arguments[0])


def _swapped(image: Image.Image) -> list[Any]:
    """Return the tiles of 16-bit RGB or RGBA with the other byte order; none for other images."""
    mode, _, order = _raw_mode(image).partition(";")
    if mode not in {"RGB", "RGBA"} or order not in _OTHER_ORDER or "transparency" in image.info:
        return []
    raw = f"{mode};{_OTHER_ORDER[order]}"
    return [
        tile._replace(args=raw if isinstance(tile.args, str) else (raw, *tile.args[1:]))
        for tile in image.tile  # type: ignore[attr-defined]
    ]


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
    except (*UNWRITABLE, OSError, SyntaxError, AttributeError):
        return None


def _extras(image: Image.Image) -> dict[str, Any]:
    extras = {
        key: image.info[key] for key in ("icc_profile", "xmp", "comment") if image.info.get(key)
    }
    if image.mode in {"CMYK", "LAB"}:
        extras.pop("icc_profile", None)  # it describes other inks
    dpi = tuple(float(value) for value in image.info.get("dpi", ()))
    if len(dpi) == 2 and all(math.isfinite(value) and value > 0 for value in dpi):
        extras["dpi"] = dpi
    return extras


def _unkept(image: Image.Image) -> list[str]:
    """Return what of a file no result holds."""
    texts = {*getattr(image, "text", {})} - {"XML:com.adobe.xmp"}
    lost = {
        "text": bool(texts),
        "icc_profile": image.mode in {"CMYK", "LAB"} and bool(image.info.get("icc_profile")),
        "frames": image.format == "MPO",
    }
    return [key for key, is_lost in lost.items() if is_lost]


def _resized(exif: bytes, shape: tuple[int, ...]) -> Image.Exif:
    """Return EXIF that gives the result's size where it gave the photograph's."""
    loaded = Image.Exif()
    loaded.load(exif)
    if _BASE.ExifOffset not in loaded:
        return loaded
    details = loaded.get_ifd(ExifTags.IFD.Exif)
    for tag, side in ((_BASE.ExifImageWidth, shape[1]), (_BASE.ExifImageHeight, shape[0])):
        if tag in details:
            details[tag] = side
    return loaded


def _planes(levels: Levels) -> Tensor:
    highest = np.iinfo(levels.dtype).max
    return torch.from_numpy(levels.transpose(2, 0, 1).astype(np.float32) / highest)


def _written_wide(photograph: Photograph, kind: str) -> bool:
    grey = photograph.channels == photograph.image.shape[0] == 1 and photograph.alpha is None
    return photograph.depth == 16 and (kind == "png" or (grey and KINDS[kind].grey16))


def _stored(photograph: Photograph, kind: str) -> Levels:
    """Return the levels that are written, (H, W, C), with alpha last where ``kind`` holds any."""
    refuse_nan(photograph.image)
    image, alpha = photograph.image.cpu().clamp(0, 1), photograph.alpha
    if photograph.channels == 3 or (kind == "webp"):
        image = image.expand(3, -1, -1)
    if alpha is not None:
        alpha = alpha.cpu().clamp(0, 1)
        image = torch.cat([image, alpha]) if KINDS[kind].alpha else image * alpha + 1 - alpha
    wide = _written_wide(photograph, kind)
    levels = (image.double() * (65535 if wide else 255)).round().permute(1, 2, 0).numpy()
    return levels.astype(np.uint16) if wide else levels.astype(np.uint8)


def _options(kind: str, quality: int | None) -> dict[str, Any]:
    if kind == "jpeg":
        return {"quality": 95, "subsampling": 0} if quality is None else {"quality": quality}
    if kind == "webp":  # exact: the colours under transparent pixels stay
        return {"lossless": True, "exact": True} if quality is None else {"quality": quality}
    return {}


def _wide_png(levels: Levels, options: Mapping[str, Any]) -> bytes:
    """Return a PNG of 16-bit colour: OpenCV writes the pixels, Pillow what goes round them."""
    import cv2  # only now: it takes a while

    order = [2, 1, 0, 3][: levels.shape[2]]
    pixels = cv2.imencode(".png", levels[..., order])[1].tobytes()
    file = io.BytesIO()
    Image.new("RGB", (1, 1)).save(file, format="PNG", **options)
    small = file.getvalue()
    first = 33  # bytes of the signature and the chunk IHDR
    return pixels[:first] + small[first : small.rindex(b"IDAT") - 4] + pixels[first:]
