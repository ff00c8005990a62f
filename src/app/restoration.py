"""One photograph through a network: its channels, size and noise level, and what comes back."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from src.core.errors import ConfigError
from src.core.types import RestorationNet
from src.data.photograph import Photograph
from src.degradations.mosaic import Mosaic
from src.inference.restorer import Restorer, takes_noise_level, with_noise_level
from src.ops.color import grey_level, luma
from src.ops.resize import upscale
from src.weights.checkpoint import Checkpoint

_HIGHEST = 255
_LUMA_RANGE = 219 / 255
"""White's luma less black's, MATLAB's way, in which networks of one channel are trained."""


@dataclass(frozen=True)
class Restoration:
    """How photographs go through a network.

    Attributes:
        restorer: The network with tiles and ensemble.
        enlarge: By how much an image is enlarged before the network sees it.
        sigma: Noise level on the 8-bit scale; None for a network that is not told.
        mosaic: How mosaics are received by a network that demosaics; None for any other.
        device: Where the network is.
    """

    restorer: Restorer
    enlarge: int
    sigma: float | None
    mosaic: Mosaic | None
    device: torch.device

    def network_input(self, photograph: Photograph, name: str) -> Tensor:
        """Return (1, C, H, W) as the network takes it, on its device.

        Args:
            photograph: What is restored.
            name: Of its file, for warnings.
        """
        image = _enlarged(photograph.image, self.enlarge)[None]
        if image_channels(self.restorer.net) == 1:
            image = luma(image) if image.shape[1] == 3 else image
        else:
            image = image.expand(-1, 3, -1, -1)
        if self.mosaic is not None:
            image = self.mosaic.received(image, name)
        if self.sigma is not None:
            image = with_noise_level(image, self.sigma / 255)
        return image.to(self.device)

    def before(self, photograph: Photograph) -> Tensor:
        """Return the image untouched, (C, s·H, s·W), enlarged bicubically where the result is."""
        return _enlarged(photograph.image, self.enlarge * self.restorer.net.scale)

    def restored(self, photograph: Photograph, degraded: Tensor) -> Photograph:
        """Return the photograph restored; alpha is not restored, and enlarged where the image is.

        Of a coloured image, a network of one channel restores luma and leaves the chroma; a grey
        one comes back grey from a network of colour.

        Args:
            photograph: What ``degraded`` was made of.
            degraded: From :meth:`network_input`.
        """
        restored, before = self.restorer(degraded).cpu(), self.before(photograph)
        if restored.shape[1] < before.shape[0]:
            restored = before + (restored - luma(before[None])) / _LUMA_RANGE
        elif restored.shape[1] > before.shape[0] and self.mosaic is None:
            restored = grey_level(restored)
        alpha = photograph.alpha
        if alpha is not None:
            alpha = _enlarged(alpha, self.enlarge * self.restorer.net.scale)
        return replace(photograph, image=restored[0], alpha=alpha)

    def remark(self, photograph: Photograph) -> str | None:
        """Say where the network has other channels than the photograph."""
        channels, there = image_channels(self.restorer.net), photograph.image.shape[0]
        if channels < there:
            return "colour, and the network has one channel: luma is restored, chroma kept"
        if channels > there and self.mosaic is None:
            return "grey, and the network takes colour: comes back grey"
        return None


def _enlarged(image: Tensor, scale: int) -> Tensor:
    return upscale(image[None], scale)[0] if scale > 1 else image


def first_enlarged(net: RestorationNet, checkpoint: Checkpoint, given: object) -> int:
    """Return by how much images are enlarged before ``net`` sees them: 1 for most networks.

    Args:
        net: The network.
        checkpoint: Where it comes from: its training says for which scale.
        given: ``scale=`` of the command line.

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
    """Return σ on the 8-bit scale, or None for a network that is not told.

    Args:
        net: The network.
        checkpoint: Where it comes from: a training with one level needs no other.
        given: ``sigma=`` of the command line.

    Raises:
        ConfigError: If the level is needed and not known, given and not needed, or impossible.
    """
    name = type(net).__name__
    if not takes_noise_level(net):
        if given is not None:
            raise ConfigError(
                f"sigma={given}: {name} of {checkpoint.path} is not told the noise level; leave "
                "sigma=… out."
            )
        return None
    level = _trained_level(checkpoint) if given is None else given
    if level is None:
        raise ConfigError(
            f"{name} of {checkpoint.path} is told the noise level of the images: add "
            "sigma=<level>, the deviation of their noise on the 8-bit scale, e.g. sigma=25."
        )
    if not isinstance(level, int | float) or not 0 <= level <= _HIGHEST:
        raise ConfigError(
            f"sigma={level} is not possible; it is one number on the 8-bit scale, 0 to {_HIGHEST}, "
            "e.g. sigma=25."
        )
    return float(level)


def _trained_level(checkpoint: Checkpoint) -> float | None:
    """Return the one level of the training's noise, or None."""
    levels = {float(level) for level in checkpoint.config.get("degradation", {}).get("sigma", [])}
    return levels.pop() if len(levels) == 1 else None


def image_channels(net: RestorationNet) -> int:
    """Return how many channels of an image ``net`` takes, the noise level not counted."""
    return net.in_channels - int(takes_noise_level(net))
