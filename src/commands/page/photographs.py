"""What a visitor may choose from, what is accepted, and what one photograph becomes."""

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from src.app.restoration import Point, Restoration, looks, restoration
from src.core.errors import ConfigError, ImageFileError, did_you_mean
from src.data.image_io import opened
from src.data.photograph import Photograph, read_photograph
from src.data.photograph_writing import KINDS, UNWRITABLE, encoded, kind_of, losses
from src.inference.attention_maps import shown_blocks, which
from src.inference.attention_picture import draw_attention
from src.inference.choice import Calls
from src.inference.restorer import Restorer, takes_noise_level
from src.metrics.psnr import psnr
from src.weights.checkpoint import Checkpoint
from src.weights.zoo import result_ending

_PURPOSES = {
    "denoise": "Remove noise",
    "dejpeg": "Remove JPEG artefacts",
    "demosaic": "Make colours of a Bayer mosaic",
    "superresolution": "Enlarge",
}
_NEAR = 16
"""Up to this distance in pixels of the network's input, keys count as near."""

_PREVIEW = 1280
"""The longest side, in pixels, of a picture that points are chosen on."""

_SHOWN = ("png", "jpeg", "webp", "bmp")
"""Formats that browsers show."""


@dataclass(frozen=True)
class Offer:
    """A network that photographs can go through."""

    name: str  # as ``checkpoint=`` has it
    checkpoint: Checkpoint  # where the network comes from
    restorer: Restorer  # the network with tiles and ensemble; one photograph at a time
    way: Restoration  # how a photograph goes through it, where a visitor says nothing else

    @property
    def scale(self) -> int:
        """By how much a photograph is enlarged."""
        return self.way.enlarge * self.restorer.net.scale

    @property
    def ending(self) -> str:
        """How names of results end, so that those of two networks differ."""
        return result_ending(self.name, own=Path(self.name).stem)

    @property
    def blocks(self) -> list[str]:
        """The names of the attention blocks that have a picture, in the network's order."""
        return list(shown_blocks(self.restorer.module))

    @property
    def label(self) -> str:
        """What it does, and its name."""
        task = next((task for task in _PURPOSES if self.way.task.startswith(task)), None)
        purpose = self.way.task if task is None else _PURPOSES[task]
        return f"{purpose}{f' ×{self.scale}' if self.scale > 1 else ''} ({self.name})"

    def about(self) -> dict[str, Any]:
        """Return what scripts and the page are to know."""
        return {
            "name": self.name,
            "label": self.label,
            "scale": self.scale,
            "takes_sigma": takes_noise_level(self.restorer.net),
            "takes_phase": self.way.mosaic is not None,
            "trained": self.way.trained,
            "blocks": self.blocks,
        }


@dataclass(frozen=True)
class Limits:
    """What is accepted: megapixels of a photograph and a result, megabytes of an upload, jobs."""

    megapixels: float
    megabytes: float
    waiting: int

    def check(self, name: Path, size: tuple[int, int], scale: int = 1) -> None:
        """Refuse a photograph, (width, height), that is too large, or would become so."""
        width, height = (scale * side for side in size)
        millions = width * height / 1e6
        if millions > self.megapixels:
            verb = "has" if scale == 1 else f"enlarged ×{scale} would have"
            raise ImageFileError(
                name,
                f"{verb} {width} × {height} pixels, {millions:.1f} megapixels; "
                f"{self.megapixels:g} are allowed here. Make it smaller, or cut it.",
            )


@dataclass(frozen=True)
class Upload:
    """A photograph that came: its name, what is in it, the format of its result and why."""

    name: Path
    photograph: Photograph
    kind: str
    reason: str | None


def read_upload(name: str, content: bytes, limits: Limits) -> Upload:
    """Return an uploaded file taken apart; its size is looked at before it is decoded.

    Raises:
        ImageFileError: If it is no image, or too large.
    """
    path = Path(Path(name).name or "photograph")
    if not content:
        raise ImageFileError(path, "is empty; choose a photograph.")
    try:
        with opened(path, content) as image:
            limits.check(path, image.size)
            kind, reason = kind_of(image)
    except ImageFileError as error:
        bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
        if isinstance(error.__cause__, bombs):  # its advice is for who has started this
            allowed = f"{limits.megapixels:g} megapixels are allowed here"
            raise ImageFileError(path, f"is too large ({error.__cause__}); {allowed}.") from error
        raise
    return Upload(path, read_photograph(path, content), kind, reason)


@dataclass(frozen=True)
class Wish:
    """What is to become of a photograph; None leaves it to the network."""

    offer: Offer
    sigma: float | None = None
    strength: float = 1.0
    phase: str | None = None

    def way(self) -> Restoration:
        """Return how a photograph goes through the network.

        Raises:
            ConfigError: If the network cannot do that.
        """
        name = self.offer.name
        if self.phase is not None and self.offer.way.mosaic is None:
            raise ConfigError(f"phase={self.phase}: {name} does not demosaic; leave phase out.")
        if self.sigma is not None and not takes_noise_level(self.offer.restorer.net):
            raise ConfigError(f"sigma={self.sigma:g}: {name} is told no noise; leave it out.")
        return restoration(
            self.offer.restorer,
            self.offer.checkpoint,
            self.offer.way.device,
            sigma=self.sigma,
            phase=self.phase,
            strength=self.strength,
        )


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
    """Return a photograph restored.

    Args:
        upload: The photograph.
        clean: What it would be without a fault, for PSNR.
        wish: With which network, and how.
        limits: Of the result too.
        watcher: Called with the part that is done.
        views: Whether files that browsers show are made too.

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
        same = upload.kind in _SHOWN
        shown = {"before": _file(upload, before, "png")}
        shown["restored"] = content if same else _file(upload, done, "png")
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

    Args:
        upload: The photograph.
        wish: Through which network.
        point: x and y in pixels of the photograph, upright.
        block: Which of its blocks is drawn; "": the last that is called.
        watcher: Called all the while; it may end the work.

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
    about = asdict(weights.spread(_NEAR)) | {"block": block, "keys": weights.seen, "words": words}
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
