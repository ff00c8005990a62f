"""What one photograph becomes: its level told, itself restored, or where attention looks."""

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from PIL import Image
from torch import Tensor

from src.app.restoration import Point, looks
from src.commands.page.offers import Limits, Upload, Wish
from src.core.errors import ConfigError, ImageFileError, did_you_mean
from src.data.photograph import Photograph
from src.data.photograph_writing import KINDS, UNWRITABLE, encoded, losses
from src.inference.attention_maps import which
from src.inference.attention_picture import draw_attention
from src.inference.choice import Calls
from src.inference.restorer import takes_noise_level
from src.metrics.psnr import psnr

_NEAR = 16
"""Up to this distance in pixels of the network's input, keys count as near."""

_PREVIEW = 1280
"""The longest side, in pixels, of a picture that points are chosen on."""

_SHOWN = ("png", "jpeg", "webp", "bmp")
"""Formats that browsers show."""


@dataclass(frozen=True)
class Result:
    """A restored photograph."""

    name: str  # of its file
    kind: str  # one of ``KINDS``
    content: bytes  # of its file
    about: Mapping[str, Any]  # what was estimated, what is not kept, PSNR
    views: Mapping[str, bytes]  # name → file that browsers show: before, restored, target


def level_of(upload: Upload, wish: Wish) -> dict[str, Any]:
    """Return how noisy or compressed a photograph is, as a number and in words, where known."""
    way = wish.way()
    sigma = way.level(upload.photograph)
    return {"sigma": sigma, "level": way.level_in_words(upload.photograph, sigma)}


def _told_level(upload: Upload, wish: Wish) -> dict[str, Any]:
    """Return ``level_of``, and refuse a photograph that needs one and does not tell it."""
    level = level_of(upload, wish)
    if level["sigma"] is None and takes_noise_level(wish.offer.restorer.net):
        reason = "is too small to tell its noise level; set it (the field sigma)."
        raise ImageFileError(upload.name, reason)
    return level


def restored(
    upload: Upload,
    clean: Upload | None,
    wish: Wish,
    limits: Limits,
    watcher: Callable[[float], None],
    *,
    views: bool,
) -> Result:
    """Return ``upload`` restored; with ``clean`` its PSNR, and with ``views`` files for browsers.

    ``watcher`` is called with the part that is done.

    Raises:
        ImageFileError: If it cannot be restored, or its format cannot hold the result.
        ConfigError: If the network cannot do what is wished.
    """
    way, photograph, offer = wish.way(), upload.photograph, wish.offer
    height, width = photograph.image.shape[-2:]
    limits.check(upload.name, (width, height), offer.scale)
    target = None if clean is None else _target(clean, (height, width), offer.scale)
    level = _told_level(upload, wish)
    offer.restorer.watcher = watcher
    degraded = way.network_input(photograph, str(upload.name), level["sigma"])
    done = way.restored(photograph, degraded)
    before = replace(done, image=way.before(photograph))
    remarks = (upload.reason, way.remark(photograph), *losses(photograph, upload.kind))
    about = level | {"remarks": [remark for remark in remarks if remark is not None]}
    if target is not None:
        about["psnr"] = {"before": _psnr(before, target), "restored": _psnr(done, target)}
    content = _file(upload, done, upload.kind)
    shown: dict[str, bytes] = {}
    if views:
        shown["before"] = _file(upload, before, "png")
        shown["restored"] = content if upload.kind in _SHOWN else _file(upload, done, "png")
        if clean is not None:
            shown["target"] = _file(clean, clean.photograph, "png")
    suffixes = KINDS[upload.kind].suffixes
    suffix = upload.name.suffix if upload.name.suffix.lower() in suffixes else suffixes[0]
    name = f"{upload.name.stem}{offer.ending}{suffix}"
    return Result(name, upload.kind, content, about, shown)


def preview(upload: Upload) -> str:
    """Return a photograph as it is restored, upright, as the address of a picture of its own."""
    levels = (upload.photograph.image * 255).round().byte().permute(1, 2, 0)
    picture = Image.fromarray(levels.expand(-1, -1, 3).numpy())
    picture.thumbnail((_PREVIEW, _PREVIEW))
    return f"data:image/png;base64,{base64.b64encode(_png(picture)).decode()}"


def attention(
    upload: Upload, wish: Wish, point: Point, block: str, watcher: Callable[[float], None]
) -> tuple[bytes, dict[str, Any]]:
    """Return where attention looks from a point: a PNG, and numbers and words about it.

    The point is x and y in pixels of the upright photograph; block "" is the last that is called.
    ``watcher`` is called all the while; it may end the work.

    Raises:
        ConfigError: If the network has no such attention, or none that weighs places.
        DataError: If the point is outside of the photograph.
    """
    name, blocks = wish.offer.name, wish.offer.blocks
    if not blocks:
        raise ConfigError(f"{name} has no attention that weighs places; choose a network that has.")
    if block not in ("", *blocks):
        raise ConfigError(f"block={block}: {did_you_mean(block, blocks, limit=len(blocks))}")
    _told_level(upload, wish)
    with Calls(lambda: watcher(0.0)):
        seen = looks(wish.way(), upload.photograph, str(upload.name), [point])[0]
        block = block or [*seen.maps][-1]
        weights = seen.maps[block]
        picture = draw_attention([(seen.piece, weights)])
    spread_out, scales = weights.in_words(_NEAR)
    place = f"looks from {point[0]},{point[1]}{seen.where}"
    words = [f"Block {which(block, seen.maps)}, {place}: {spread_out}."]
    words.append(f"Weight of each scale: {scales}.")
    about = asdict(weights.spread(_NEAR)) | {"block": block, "words": words}
    return _png(Image.fromarray(picture)), about


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


def _target(clean: Upload, size: tuple[int, int], scale: int) -> Tensor:
    """Return the image that a result is compared with, (C, s·H, s·W)."""
    expected = tuple(scale * side for side in size)
    image = clean.photograph.image
    if image.shape[-2:] != expected:
        raise ImageFileError(
            clean.name,
            f"has {image.shape[-1]} × {image.shape[-2]} pixels, and the result {expected[1]} × "
            f"{expected[0]}; a clean image has the size of the result.",
        )
    return image


def _psnr(photograph: Photograph, target: Tensor) -> float:
    """Return PSNR in dB of what is written with 8 bits; grey counts as colour beside colour."""
    image = (photograph.image.clamp(0, 1) * 255).round() / 255
    channels = max(len(image), len(target))
    pair = (image.expand(channels, -1, -1), target.expand(channels, -1, -1))
    return float(psnr(*(one[None] for one in pair)))


def _file(upload: Upload, photograph: Photograph, kind: str) -> bytes:
    try:
        return encoded(photograph, kind)
    except UNWRITABLE as error:
        reason = f"the result cannot be written as {kind.upper()} ({error}); give it as PNG."
        raise ImageFileError(upload.name, reason) from error
