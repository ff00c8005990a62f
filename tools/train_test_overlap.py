"""Refuse training images that show what a test image shows, also turned, cropped or rescaled.

    .venv/bin/python -m tools.train_test_overlap photos/train benchmarks

The middle of each image is looked for in each image of the other folder, at all eight flips and
turns and many sizes, by normalised correlation: first at 12 pixels, and while it looks alike, at 24
and 48; 600 images against 200 take minutes of one core. Exit status 1 if anything is found. What
escapes: middles without structure, pairs of which neither shows the middle of the other, crops
below a third of a side.
"""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.data.image_io import read_image
from src.data.source import ImageFolder

COARSE, FINE = 12, 48
"""Sides of the middle of an image in pixels, in the first stage and the last."""

STAGES = {COARSE: 0.8, 24: 0.75, FINE: 0.7}
"""Side → correlation from which a pair goes on to the next stage; after the last it is refused."""

SIZES = [1.09**step for step in range(-2, 14)]
"""How many times as large the other scene may be, 0.84 to 3.1."""

NEARBY = [1.03**step for step in range(-3, 4)]
"""By what a size that the first stage has found is varied in the others."""

FLAT = 3.0
"""Standard deviation on the 8-bit scale below which a place has no structure to compare."""

logger = logging.getLogger("overlap")

Images = dict[str, Image.Image]


def read(folder: Path) -> Images:
    """Return key → luma of all images below ``folder``, no larger than the last stage needs."""
    files = ImageFolder(folder.resolve()).files()
    most = 2 * FINE * max(SIZES) * max(NEARBY)
    return {key: luma(path, most) for key, path in files.items()}


def luma(path: Path, short: float) -> Image.Image:
    """Return the luma of a file with its short side ``short`` pixels long, or less."""
    image = Image.fromarray(read_image(path, channels=1)[..., 0])
    return image if min(image.size) <= short else resized(image, short)


def resized(image: Image.Image, short: float) -> Image.Image:
    """Return ``image`` with its short side ``short`` pixels long."""
    width, height = (max(round(side * short / min(image.size)), 1) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def pixels(image: Image.Image, short: float) -> Tensor:
    """Return what an image has beyond its surroundings' mean, (1, 1, H, W) float32.

    A sky above ground is like any other; what is finer than that tells one scene from another.
    """
    levels = torch.from_numpy(np.array(resized(image, short))).float()[None, None]
    return levels - F.avg_pool2d(levels, 5, stride=1, padding=2, count_include_pad=False)


def middles(image: Image.Image, side: int) -> Tensor:
    """Return the middle at all flips and turns, (8, 1, side, side) of mean 0 and norm 1.

    Zeros where it has no structure, which correlate with nothing.
    """
    small = pixels(image, 2 * side)
    top, left = ((length - side) // 2 for length in small.shape[-2:])
    middle = small[..., top : top + side, left : left + side]
    middle = middle - middle.mean()
    turned = torch.cat([middle.rot90(turn, (2, 3)) for turn in range(4)])
    both = torch.cat([turned, turned.flip(3)])
    return both / middle.norm() if middle.std(correction=0) > FLAT else both * 0


def mean_around(scene: Tensor, side: int) -> Tensor:
    """Return the mean of each square of ``side`` pixels, first along rows, then along columns."""
    return F.avg_pool2d(F.avg_pool2d(scene, (1, side), stride=1), (side, 1), stride=1)


def correlations(image: Image.Image, templates: Tensor, sizes: Sequence[float]) -> Tensor:
    """Return the largest normalised correlation of N templates at each of M sizes, (M, N).

    Of many templates by one product with all places, in bfloat16, which is right within 0.004; of
    one by Fourier transforms.
    """
    side, rows = templates.shape[-1], []
    rounded = templates.flatten(1).bfloat16()
    for size in sizes:
        scene = pixels(image, 2 * side * size)
        mean = mean_around(scene, side)
        variance = (mean_around(scene * scene, side) - mean * mean).clamp(min=0)
        scale = torch.where(variance > FLAT**2, (variance * side**2).rsqrt(), 0)
        if len(templates) > 1:
            places = (F.unfold(scene, side)[0] * scale.flatten()).bfloat16()
            rows.append((rounded @ places).amax(1).float())
        else:
            shape = scene.shape[-2:]
            turned = torch.fft.rfft2(templates[0, 0], s=shape).conj()
            found = torch.fft.irfft2(torch.fft.rfft2(scene[0, 0]) * turned, s=shape)
            height, width = scale.shape[-2:]
            rows.append((found[:height, :width] * scale[0, 0]).max().reshape(1))
    return torch.stack(rows)


def confirmed(image: Image.Image, sought: Image.Image, turn: int, size: float) -> float:
    """Return how alike the last stage finds a pair, 0 if an earlier one says that it is not."""
    alike = 0.0
    for side in (24, FINE):
        template = middles(sought, side)[turn : turn + 1]
        alike = float(correlations(image, template, [size * near for near in NEARBY]).max())
        if alike < STAGES[side]:
            return 0.0
    return alike


def pairs(searched: Images, sought: Images) -> Iterator[tuple[str, str, float]]:
    """Yield pairs of which the first shows the middle of the second, and how much alike."""
    names = list(sought)
    templates = torch.cat([middles(image, COARSE) for image in sought.values()])
    for number, (key, image) in enumerate(searched.items(), start=1):
        found = correlations(image, templates, SIZES).view(len(SIZES), len(names), 8)
        for index in (found.amax((0, 2)) >= STAGES[COARSE] - 0.004).nonzero().flatten().tolist():
            size, turn = divmod(int(found[:, index].argmax()), 8)
            alike = confirmed(image, sought[names[index]], turn, SIZES[size])
            if alike:
                yield key, names[index], alike
        if number % 50 == 0:
            logger.info("%d of %d images searched", number, len(searched))


def main() -> int:
    """Compare two folders; return 1 if they show the same scene anywhere."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train, test = read(arguments.train), read(arguments.test)
    logger.info("%d training and %d test images", len(train), len(test))
    same = {(one, other): alike for one, other, alike in pairs(train, test)}
    same |= {(one, other): alike for other, one, alike in pairs(test, train)}
    for (one, other), alike in sorted(same.items()):
        logger.error("%s of %s shows %s (correlation %.3f)", one, arguments.train, other, alike)
    logger.info("%d pairs show the same scene; remove those training images", len(same))
    return int(bool(same))


if __name__ == "__main__":
    sys.exit(main())
