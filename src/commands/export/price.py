"""What a file costs beside the live network: dB, differences and time, on photographs."""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from src.app.build import make
from src.app.inference import task_of
from src.commands.export.program import Run, Size
from src.core.errors import ConfigError
from src.core.seeding import generator_for
from src.core.types import RestorationNet
from src.data.image_io import read_image, to_tensor
from src.data.source import ImageFolder
from src.degradations.gaussian import as_8bit
from src.inference.portable import PortableNet
from src.inference.precision import psnr_between
from src.inference.restorer import takes_noise_level, with_noise_level
from src.ops.resize import upscale
from src.weights.checkpoint import Checkpoint

JUDGED, SEEN = 100, 16
"""Photographs, at most, that a file is judged by, and that show the range of activations."""

SIDE = 192
"""Of the middle that is taken of each, at most, in restored pixels."""

PERIOD = 24
"""Sides of that middle are multiples of this, for all scales and Bayer cells."""

USUAL: dict[str, tuple[str, dict[str, Any]]] = {
    "denoise": ("gaussian.GaussianNoise", {"sigma": [0, 50]}),
    "dejpeg": ("jpeg.Jpeg", {"quality": [10, 90]}),
    "demosaic": ("mosaic.Mosaic", {}),
    "superresolution": ("bicubic.Bicubic", {}),
}
"""Task of a network alone → the degradation by which it is judged, at that class's own level (σ 25,
quality 10, GRBG), and the levels in calibration."""

BEST = 100.0
"""PSNR that counts as perfect, in dB: infinite ones have no difference."""

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Price:
    """What a file costs beside the live network."""

    loss_db: float
    difference: float  # largest, on the scale [0, 1]
    speed: float  # restored megapixels per second, the median
    live_speed: float

    def __str__(self) -> str:
        return (
            f"{self.loss_db:+.3f} dB lost, at most {self.difference:.1e} from the live network, "
            f"{self.speed:.3g} megapixels/s (live {self.live_speed:.3g})"
        )


def pairs(
    folder: str,
    checkpoint: Checkpoint,
    net: PortableNet,
    *,
    size: Size = "any",
    calibrating: bool = False,
) -> list[Pair]:
    """Return (input of the network, clean) of the middles of photographs spread over a folder.

    ``size`` is that of the inputs; for ``calibrating`` there are fewer images, of all levels.

    Raises:
        ConfigError: If nothing says how they are degraded, or an image is too small.
        DataError: If there is no image.
    """
    degradation = _degradation(checkpoint, net, all_levels=calibrating)
    files = list(ImageFolder(folder).files().items())
    count = min(len(files), SEEN if calibrating else JUDGED)
    made = []
    for key, path in (files[index * len(files) // count] for index in range(count)):
        whole = to_tensor(read_image(path, channels=net.out_channels))[None]
        clean = _middle(whole, [] if size == "any" else [side * net.scale for side in size])
        if min(clean.shape[-2:]) < net.least * net.scale:
            least = math.ceil(net.least * net.scale / PERIOD) * PERIOD
            needed = f"{least}" if size == "any" else "×".join(str(s * net.scale) for s in size)
            raise ConfigError(
                f"{path} is too small to judge or calibrate by: it has {whole.shape[-2]}×"
                f"{whole.shape[-1]} pixels, and {needed} are needed at least. "
                "Leave it out of the folder."
            )
        made.append((_input(degradation, clean, key, net), clean))
    return made


def _middle(whole: Tensor, sides: Sequence[int]) -> Tensor:
    """Cut the middle of (1, C, H, W), of ``sides`` where they are given; empty if it is less."""
    height, width = whole.shape[-2:]
    tall, wide = sides or [min(side, SIDE) // PERIOD * PERIOD for side in (height, width)]
    top, left = (height - tall) // 2, (width - wide) // 2
    if min(top, left) < 0:
        return whole[..., :0, :0]
    return whole[..., top : top + tall, left : left + wide]


def _degradation(checkpoint: Checkpoint, net: PortableNet, *, all_levels: bool) -> nn.Module:
    node: Any = checkpoint.config.get("degradation")
    known = [use for name, use in USUAL.items() if task_of(checkpoint).startswith(name)]
    if node is None and known:
        [(name, levels)] = known
        node = {"_target_": f"src.degradations.{name}", **(levels if all_levels else {})}
        node |= {"scale": net.scale} if name.startswith("bicubic") else {}
    built = None if node is None else make(node).eval()  # checked when it was opened
    if built is None or (_is_told(net) and not hasattr(built, "with_level")):
        raise ConfigError(
            f"{checkpoint.path} does not say how its inputs are degraded, by which a file is "
            "judged: export a run folder or a .ckpt of a training, or a network of the zoo."
        )
    return cast("nn.Module", built)


def _is_told(net: PortableNet) -> bool:
    return takes_noise_level(cast("RestorationNet", net.net))


def _input(degradation: Any, clean: Tensor, key: str, net: PortableNet) -> Tensor:  # noqa: ANN401
    generator = generator_for("cpu", "export", key)
    if _is_told(net):
        return with_noise_level(*degradation.with_level(clean, generator))
    degraded: Tensor = degradation(clean, generator)
    factor = clean.shape[-1] // (degraded.shape[-1] * net.scale)
    return upscale(degraded, factor) if factor > 1 else degraded  # as task super_resolution does


@torch.no_grad()
def price(file: Run, net: Run, judged: Sequence[Pair], rounds: int = 1) -> Price:
    """Run file and network over the pairs, in turn, ``rounds`` times, and compare."""
    ways = (file, net)
    losses: list[float] = []
    differences: list[Tensor] = []
    speeds: tuple[list[float], list[float]] = ([], [])
    for way in ways:
        way(judged[0][0])  # the first call prepares
    for degraded, clean in judged:
        made: list[Tensor] = []
        for _ in range(rounds):
            made.clear()
            for way, speed in zip(ways, speeds, strict=True):
                start = time.perf_counter()
                made.append(way(degraded))
                speed.append(clean[0, 0].numel() / 1e6 / (time.perf_counter() - start))
        theirs, ours = (min(psnr_between(as_8bit(one), clean), BEST) for one in made)
        losses.append(ours - theirs)
        differences.append((made[0] - made[1]).abs().max())
    largest = float(torch.stack(differences).max())  # NaN stays, as it does not in Python's max
    return Price(statistics.mean(losses), largest, *map(statistics.median, speeds))
