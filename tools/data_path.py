"""How many training patches a second the loader gives, against decoding and against LMDB.

``python -m tools.data_path`` measures all forms in turn in one run and writes the record to
experiments/benchmarks/<device>_<torch>/data-path.csv and .json. All forms go through the same
datamodule; they differ in where the pixels come from:

* ``cache``: our memory-mapped files of whole decoded images, of which a patch is a slice;
* ``png``: the PNG file is decoded for each patch, ``data.cache=off``;
* ``lmdb raw``, ``lmdb png``: an LMDB of sub-images, 480 px every 240 px as usual for DIV2K, held as
  pixels or as PNG; left out where lmdb, which is no dependency, is not installed.
"""

import importlib.util
import io
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.data import get_worker_info

from src.core.types import Clean
from src.data.datamodule import RestorationData
from src.data.datasets.sample_photos import SamplePhotos
from src.data.image_io import Pixels
from src.data.source import ImageFolder, ImageItem, ImageSource
from tools.measured import write_record

HEIGHT, WIDTH = 1356, 2040  # the usual size of DIV2K
SUB, STEP = 480, 240
IMAGES, BATCH, PREFETCH = 6, 8, 2
SIZES, WORKERS, ROUNDS, SECONDS = (48, 96, 192), (1, 2), 3, 1.5


def write_photos(folder: Path) -> ImageFolder:
    """Write PNG files of DIV2K's size, put together from real photographs at their own scale."""
    photos = [item.load(3) for item in SamplePhotos("train").items().values()]
    folder.mkdir(parents=True)
    for index in range(IMAGES):
        mosaic = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        places = itertools.product(range(0, HEIGHT, 400), range(0, WIDTH, 600))
        for number, (top, left) in enumerate(places):
            part = photos[(number + index) % len(photos)][: HEIGHT - top, : WIDTH - left]
            mosaic[top : top + part.shape[0], left : left + part.shape[1]] = part
        Image.fromarray(mosaic).save(folder / f"{index:04}.png")
    return ImageFolder(folder)


@cache
def _kept_open(path: str) -> Any:  # noqa: ANN401
    return _open(path)


def _open(path: str) -> Any:  # noqa: ANN401
    import lmdb

    return lmdb.open(path, readonly=True, lock=False, readahead=False)


@dataclass(frozen=True)
class LmdbItem:
    """A sub-image in an LMDB, as raw pixels or as PNG."""

    path: str
    key: bytes
    encoded: bool

    def load(self, channels: int) -> Pixels:
        if get_worker_info() is None:  # what is open here could not be opened after the fork
            with _open(self.path) as environment:
                content = self._read(environment)
        else:
            content = self._read(_kept_open(self.path))
        if self.encoded:
            return np.asarray(Image.open(io.BytesIO(content)))
        return np.frombuffer(content, np.uint8).reshape(SUB, SUB, channels)

    def _read(self, environment: Any) -> bytes:  # noqa: ANN401
        with environment.begin() as transaction:
            content: bytes = transaction.get(self.key)
        return content


@dataclass(frozen=True)
class LmdbSource:
    """All sub-images of a folder, written into an LMDB."""

    path: Path
    encoded: bool
    keys: tuple[str, ...]

    def items(self) -> dict[str, ImageItem]:
        return {key: LmdbItem(str(self.path), key.encode(), self.encoded) for key in self.keys}

    def describe(self) -> str:
        return f"sub-images in {self.path}"


def write_lmdb(images: ImageFolder, path: Path, *, encoded: bool) -> LmdbSource:
    """Cut the images into sub-images and store them."""
    import lmdb

    keys = []
    environment = lmdb.open(str(path), map_size=2**33)
    with environment.begin(write=True) as transaction:
        for name, item in images.items().items():
            pixels = item.load(3)
            tops = range(0, HEIGHT - SUB + 1, STEP)
            for top, left in itertools.product(tops, range(0, WIDTH - SUB + 1, STEP)):
                part = np.ascontiguousarray(pixels[top : top + SUB, left : left + SUB])
                key = f"{name}_{top:04}_{left:04}"
                transaction.put(key.encode(), _png(part) if encoded else part.tobytes())
                keys.append(key)
    environment.close()
    return LmdbSource(path, encoded, tuple(keys))


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def sources(folder: Path) -> Mapping[str, tuple[ImageSource, str]]:
    """Return form → where its images are, and ``data.cache``."""
    images = write_photos(folder / "images")
    forms: dict[str, tuple[ImageSource, str]] = {"png": (images, "off"), "cache": (images, "on")}
    if importlib.util.find_spec("lmdb") is None:
        sys.stderr.write("lmdb is not installed, so it is left out.\n")
        return forms
    for name, encoded in (("lmdb raw", False), ("lmdb png", True)):
        forms[name] = (write_lmdb(images, folder / name, encoded=encoded), "off")
    return forms


def batches(
    source: ImageSource, cache: str, side: int, workers: int, cache_dir: Path
) -> Iterator[Clean]:
    """Return endless batches of patches."""
    module = RestorationData(
        train=source,
        benchmarks={},
        patch_size=side,
        batch_size=BATCH,
        workers=workers,
        prefetch=PREFETCH,
        cache=cache,
        cache_dir=cache_dir,
    )
    module.setup("fit")
    return iter(module.train_dataloader())


def patches_a_second(loader: Iterator[Clean], workers: int) -> float:
    """Return the rate over ``SECONDS``, after what was waiting in the queues."""
    for _ in range(PREFETCH * workers + 1):
        next(loader)
    seen, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < SECONDS:
        seen += len(next(loader)["target"])
    return seen / passed


def measure(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield one row a form, patch size and number of workers."""
    forms = sources(folder)
    for side, workers in itertools.product(SIZES, WORKERS):
        loaders = {
            name: batches(source, cache, side, workers, folder / "cache")
            for name, (source, cache) in forms.items()
        }
        rates: dict[str, list[float]] = {name: [] for name in loaders}
        for _ in range(ROUNDS):  # in turn, so that a slow spell of the machine strikes all
            for name, loader in loaders.items():
                rates[name].append(patches_a_second(loader, workers))
        for name, values in rates.items():
            ratios = [rate / png for rate, png in zip(values, rates["png"], strict=True)]
            yield {
                "patch": side,
                "workers": workers,
                "form": name,
                "patches_per_s": round(statistics.median(values), 1),
                "times_png": round(statistics.median(ratios), 2),
            }


def main() -> None:
    """Measure, print a table, write the record."""
    with tempfile.TemporaryDirectory() as folder:
        rows = list(measure(Path(folder)))
    about = {"images": IMAGES, "size": [WIDTH, HEIGHT], "batch": BATCH, "rounds": ROUNDS}
    write_record("data-path", rows, {**about, "seconds": SECONDS, "prefetch": PREFETCH})


if __name__ == "__main__":
    main()
