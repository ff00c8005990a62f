"""Restored photographs written: in which format, with what of the source, and what is lost."""

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import ExifTags, Image, PngImagePlugin

from src.core.files import replacing
from src.data.depth import Levels, other_order
from src.data.image_io import refuse_nan
from src.data.photograph import Photograph


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
    "tiff": Kind((".tif", ".tiff"), True, True, 2**31, _EMBEDDED | {"dpi", "compression"}),
    "jpeg": Kind(
        (".jpg", ".jpeg", ".jfif", ".jpe"), False, False, 65_500, _EMBEDDED | {"dpi", "comment"}
    ),
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
}
_XMP = 700  # tag of TIFF


def kind_of(image: Image.Image) -> tuple[str, str | None]:
    """Return in which of ``KINDS`` an image not yet decoded is written, and why not in its own."""
    own = "jpeg" if image.format == "MPO" else str(image.format).lower()
    if own not in KINDS:
        why = "holds 256 colours" if own == "gif" else "is read only"
        return "png", f"{image.format} {why}: written as PNG"
    if own == "tiff" and other_order(image):
        return "png", "a TIFF of 16-bit colour is written as PNG of 16 bits"
    if own == "bmp" and image.has_transparency_data:
        return "png", "a BMP with transparency is written as PNG"
    return own, None


def kind_of_name(path: Path) -> str | None:
    """Return which of ``KINDS`` the suffix of a file means; None if none."""
    suffix = path.suffix.lower()
    return next((kind for kind, about in KINDS.items() if suffix in about.suffixes), None)


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
        if key not in holds.keeps and key in _SPOKEN
    ]
    return words


def write_photograph(
    path: Path, photograph: Photograph, kind: str, quality: int | None = None
) -> None:
    """Write ``photograph`` whole or not at all, as :func:`encoded` has it.

    Raises:
        ValueError: If ``kind`` cannot hold it; see ``UNWRITABLE`` too.
        DataError: If the image holds NaN.
        OSError: If the folder cannot be written or the disk is full.
    """
    content = encoded(photograph, kind, quality)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def encoded(photograph: Photograph, kind: str, quality: int | None = None) -> bytes:
    """Return the file of ``photograph``, with what of its extras ``kind`` holds.

    Args:
        photograph: What is outside [0, 1] is clipped.
        kind: One of ``KINDS``.
        quality: 1 to 100, for JPEG and WebP; None is 95 without thinned-out colour for JPEG, and no
            loss for WebP.

    Raises:
        ValueError: If ``kind`` cannot hold it; see ``UNWRITABLE`` too.
        DataError: If the image holds NaN.
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
    if levels.dtype == np.uint16 and levels.shape[2] > 1:
        return _wide_png(levels, options)
    file = io.BytesIO()
    flat = levels.squeeze(2) if levels.shape[2] == 1 else levels
    Image.fromarray(flat).save(file, format=kind.upper(), **options)
    return file.getvalue()


def _resized(exif: bytes, shape: tuple[int, ...]) -> Image.Exif:
    """Return EXIF that gives the result's size where it gave the photograph's."""
    loaded = Image.Exif()
    loaded.load(exif)
    if ExifTags.Base.ExifOffset not in loaded:
        return loaded
    details = loaded.get_ifd(ExifTags.IFD.Exif)
    for tag, side in (
        (ExifTags.Base.ExifImageWidth, shape[1]),
        (ExifTags.Base.ExifImageHeight, shape[0]),
    ):
        if tag in details:
            details[tag] = side
    return loaded


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
