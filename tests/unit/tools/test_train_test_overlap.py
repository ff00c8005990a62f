"""The check of training images against test images finds copies, and nothing else."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from skimage import data

from tools.train_test_overlap import pairs

Change = Callable[[Image.Image], Image.Image]


def photograph(name: str) -> Image.Image:
    return Image.fromarray(np.asarray(getattr(data, name)())).convert("L")


def compressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=30)
    return Image.open(file)


CHANGES: dict[str, Change] = {
    "the same": lambda image: image,
    "flipped": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "smaller": lambda image: image.resize((image.width * 3 // 10, image.height * 3 // 10)),
    "halved, as a JPEG": lambda image: compressed(
        image.resize((image.width // 2, image.height // 2))
    ),
    "larger, by half": lambda image: image.resize((image.width * 3 // 2, image.height * 3 // 2)),
    "a corner": lambda image: image.crop((10, 0, image.width * 7 // 10, image.height * 7 // 10)),
    "a turned third": lambda image: image.crop(
        (image.width // 3, image.height // 3, image.width * 3 // 4, image.height * 3 // 4)
    ).transpose(Image.Transpose.TRANSVERSE),
}


@pytest.mark.long
@pytest.mark.parametrize("name", ["astronaut", "chelsea"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found(name: str, change: str) -> None:
    test, train = {"test": photograph(name)}, {"train": CHANGES[change](photograph(name))}
    assert [*pairs(train, test), *pairs(test, train)]


@pytest.mark.long
def test_different_photographs_are_not() -> None:
    train = {name: photograph(name) for name in ("astronaut", "coffee", "rocket")}
    test = {name: photograph(name) for name in ("chelsea", "camera", "coins")}
    assert not [*pairs(train, test), *pairs(test, train)]
