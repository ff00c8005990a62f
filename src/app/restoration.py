"""One photograph through a network: its channels, size and noise level, and what comes back."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from src.app.inference import demosaicing, task_of
from src.core.errors import ConfigError, DataError
from src.core.types import RestorationNet
from src.data.photograph import Photograph
from src.degradations.mosaic import Mosaic
from src.inference.attention_maps import Look, look
from src.inference.restorer import Restorer, takes_noise_level, with_noise_level
from src.ops.color import grey_level, luma
from src.ops.level import estimate_sigma
from src.ops.resize import upscale
from src.weights.checkpoint import Checkpoint

_HIGHEST = 255
_LUMA_RANGE = 219 / 255
"""White's luma less black's, MATLAB's way, in which networks of one channel are trained."""
_LUMA_NOISE = math.hypot(65.481, 128.553, 24.966) / 255
"""The deviation of luma, MATLAB's way, where that of each colour is 1."""


@dataclass(frozen=True)
class Restoration:
    """How photographs go through a network."""

    restorer: Restorer  # the network with tiles and ensemble
    enlarge: int  # by how much an image is enlarged before the network sees it
    # Noise level on the 8-bit scale; None: as estimated, where the network is told.
    sigma: float | None
    # How mosaics are received by a network that demosaics; None for any other.
    mosaic: Mosaic | None
    task: str  # what the network is for (:func:`src.app.inference.task_of`)
    # The least and largest level of the training, σ or JPEG quality; None: not known.
    trained: tuple[float, float] | None
    strength: float  # 0 leaves an image as it is, 1 is the network's, 2 goes twice as far
    device: torch.device  # where the network is

    def level(self, photograph: Photograph) -> float | None:
        """Return σ of a photograph to be denoised on the 8-bit scale, given or estimated."""
        told = takes_noise_level(self.restorer.net)
        if self.sigma is not None or not (told or self.task.startswith("denoise")):
            return self.sigma
        seen = self._seen(photograph)
        if photograph.quality is None or len(seen) == 1:
            return estimate_sigma(seen)
        # a JPEG mostly keeps chroma at half the size, where noise is white no more; luma is whole
        estimated = estimate_sigma(luma(seen[None])[0])
        return None if estimated is None else estimated / _LUMA_NOISE

    def level_in_words(self, photograph: Photograph, sigma: float | None) -> str | None:
        """Say how noisy or compressed a photograph is, where that was read from itself."""
        if self.task == "dejpeg" and photograph.quality is not None:
            level, words = float(photograph.quality), f"JPEG quality {photograph.quality}"
        elif sigma is not None and self.sigma is None:
            level, words = sigma, f"sigma {sigma:.1f}, estimated"
        else:
            return None
        if self.trained is not None:
            low, high = self.trained
            if not 0.9 * low - 1 <= level <= 1.1 * high + 1:
                words += f"; the network was trained for {low:g}" + f" to {high:g}" * (low < high)
        return words

    def network_input(self, photograph: Photograph, name: str, sigma: float | None) -> Tensor:
        """Return (1, C, H, W) as the network takes it, on its device; warnings call it ``name``."""
        image = _enlarged(self._seen(photograph), self.enlarge)[None]
        if image_channels(self.restorer.net) == 3:
            image = image.expand(-1, 3, -1, -1)
        if self.mosaic is not None:
            image = self.mosaic.received(image, name)
        if takes_noise_level(self.restorer.net) and sigma is not None:
            image = with_noise_level(image, sigma / 255)
        weights = (one.dtype for one in self.restorer.module.parameters())
        return image.to(self.device, next(weights, torch.float32))

    def _seen(self, photograph: Photograph) -> Tensor:
        """Return the image without colours that the network cannot see."""
        image = photograph.image
        seen_whole = len(image) <= image_channels(self.restorer.net)
        return image if seen_whole else luma(image[None])[0]

    def before(self, photograph: Photograph) -> Tensor:
        """Return the image untouched, (C, s·H, s·W), enlarged bicubically where the result is."""
        return _enlarged(photograph.image, self.enlarge * self.restorer.net.scale)

    def restored(self, photograph: Photograph, degraded: Tensor) -> Photograph:
        """Return the photograph restored; alpha is not restored, and enlarged where the image is.

        ``degraded`` is its :meth:`network_input`. Of a coloured image, a network of one channel
        restores luma and leaves the chroma; a grey one comes back grey from a network of colour.
        """
        restored, before = self.restorer(degraded).cpu().float(), self.before(photograph)
        if restored.shape[1] < before.shape[0]:
            restored = before + (restored - luma(before[None])) / _LUMA_RANGE
        elif restored.shape[1] > before.shape[0] and self.mosaic is None:
            restored = grey_level(restored)
        if self.strength != 1:
            restored = before + self.strength * (restored - before)
        alpha = photograph.alpha
        if alpha is not None:
            alpha = _enlarged(alpha, self.enlarge * self.restorer.net.scale)
        return replace(photograph, image=restored[0], alpha=alpha)

    def compared(self, photograph: Photograph, restored: Photograph) -> Tensor:
        """Return before, after, and four times the difference round grey, side by side."""
        before = self.before(photograph).expand(len(restored.image), -1, -1)
        difference = 0.5 + 4 * (restored.image - before)
        return torch.cat([before, restored.image, difference], dim=-1)

    def remark(self, photograph: Photograph) -> str | None:
        """Say where the network has other channels than the photograph."""
        channels, there = image_channels(self.restorer.net), photograph.image.shape[0]
        if channels < there:
            return "colour, and the network has one channel: luma is restored, chroma kept"
        if channels > there and self.mosaic is None:
            return "grey, and the network takes colour: comes back grey"
        return None


Point = tuple[int, int]
"""x and y, in pixels of a photograph."""


def looks(
    way: Restoration, photograph: Photograph, name: str, points: Sequence[Point]
) -> list[Look]:
    """Return what attention looks at when it restores each of the points of a photograph.

    Raises:
        DataError: If a point is outside, or the noise level is not given and cannot be estimated.
    """
    height, width = photograph.image.shape[-2:]
    for x, y in points:
        if not (0 <= x < width and 0 <= y < height):
            raise DataError(
                f"point={x},{y} is outside of {name}, which has {width}×{height} pixels: "
                f"x is 0 to {width - 1}, y is 0 to {height - 1}."
            )
    sigma = way.level(photograph)
    if sigma is None and takes_noise_level(way.restorer.net):
        raise DataError(f"{name} is too small to tell its noise level; add sigma=<level>.")
    # the middle of what a pixel becomes where the image is enlarged first
    inside = [
        (way.enlarge * y + way.enlarge // 2, way.enlarge * x + way.enlarge // 2) for x, y in points
    ]
    return look(way.restorer, way.network_input(photograph, name, sigma), inside)


def _enlarged(image: Tensor, scale: int) -> Tensor:
    return upscale(image[None], scale)[0] if scale > 1 else image


def restoration(
    restorer: Restorer,
    checkpoint: Checkpoint,
    device: torch.device,
    *,
    scale: object = None,
    sigma: object = None,
    phase: str | None = None,
    strength: object = 1.0,
) -> Restoration:
    """Return how photographs go through the network of a checkpoint.

    Raises:
        ConfigError: If something is said that the network cannot do.
    """
    task = task_of(checkpoint)
    return Restoration(
        restorer=restorer,
        enlarge=first_enlarged(restorer.net, checkpoint, scale),
        sigma=noise_level(restorer.net, checkpoint, sigma),
        mosaic=demosaicing(checkpoint, phase),
        task=task,
        trained=trained_levels(checkpoint),
        strength=checked_strength(strength, task),
        device=device,
    )


def first_enlarged(net: RestorationNet, checkpoint: Checkpoint, given: object) -> int:
    """Return by how much images are enlarged before ``net`` sees them: 1 for most networks.

    Its training says for which scale it is; ``given`` is ``scale=`` of the command line.

    Raises:
        ConfigError: If ``given`` is not what the network is for.
    """
    trained = int(checkpoint.config.io.scale)
    if given is None:
        return trained // net.scale
    name = f"{type(net).__name__} of {checkpoint.path}"
    if not isinstance(given, int) or given < 1:
        raise ConfigError(f"scale={given} is not possible; it is a whole number, e.g. scale=2.")
    if net.scale not in {1, given}:
        raise ConfigError(f"scale={given}: {name} enlarges by {net.scale}; leave scale=… out.")
    if net.scale == trained == 1 != given and not checkpoint.network_alone:
        raise ConfigError(f"scale={given}: {name} was not trained to enlarge; leave scale=… out.")
    return given // net.scale


def noise_level(net: RestorationNet, checkpoint: Checkpoint, given: object) -> float | None:
    """Return σ on the 8-bit scale, or None where the network is not told or none is known.

    A training with one level needs no other; ``given`` is ``sigma=`` of the command line.

    Raises:
        ConfigError: If the level is given and not needed, or impossible.
    """
    name = type(net).__name__
    if not takes_noise_level(net):
        if given is not None:
            raise ConfigError(
                f"sigma={given}: {name} of {checkpoint.path} is not told the noise level; leave "
                "sigma=… out."
            )
        return None
    low, high = trained_levels(checkpoint) or (None, None)
    level = (low if low == high else None) if given is None else given
    return None if level is None else checked_sigma(level)


def checked_sigma(sigma: object) -> float:
    """Return ``sigma=`` on the 8-bit scale; ConfigError if it is not possible."""
    if not isinstance(sigma, int | float) or not 0 <= sigma <= _HIGHEST:
        raise ConfigError(
            f"sigma={sigma} is not possible; it is one number on the 8-bit scale, 0 to {_HIGHEST}, "
            "e.g. sigma=25."
        )
    return float(sigma)


def trained_levels(checkpoint: Checkpoint) -> tuple[float, float] | None:
    """Return the least and largest level of the training, σ or JPEG quality, or None."""
    degradation = checkpoint.config.get("degradation", {})
    low_high = degradation.get("sigma") or degradation.get("quality")
    return (float(low_high[0]), float(low_high[-1])) if low_high else None


def checked_strength(strength: object, task: str) -> float:
    """Return ``strength=`` of the command line; ConfigError if it is not possible."""
    if not isinstance(strength, int | float) or not 0 <= strength <= 2:
        raise ConfigError(
            f"strength={strength} is not possible; it is 0 (none) to 2 (twice), e.g. strength=0.7."
        )
    if strength != 1 and task.startswith("demosaic"):
        raise ConfigError(f"strength={strength}: a mosaic cannot be blended with; leave it out.")
    return float(strength)


def image_channels(net: RestorationNet) -> int:
    """Return how many channels of an image ``net`` takes, the noise level not counted."""
    return net.in_channels - int(takes_noise_level(net))
