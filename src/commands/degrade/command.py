"""Degrade: clean images in, degraded ones out, and all that was drawn for each of them."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from rich.progress import track

from src.app.build import make, plain
from src.app.sweeps.sweep import own_folder
from src.core.console import make_console
from src.core.errors import ConfigError, DataError
from src.core.files import write_csv, write_json
from src.core.origin import origin
from src.core.paths import from_root, shown
from src.core.seeding import generator_for
from src.data.image_io import to_image, to_tensor, write_png
from src.data.images import OpenImages
from src.data.opener import Opener
from src.data.photograph import Photograph
from src.data.photograph_writing import write_photograph
from src.data.prepared import known_sets, prepared_folder
from src.data.source import ImageFolder
from src.degradations.drawn import Drawn, noted
from src.ops.resize import mod_crop

PARAMETERS = "parameters.csv"


def degrade(cfg: DictConfig) -> int:
    """Write ``input/``, ``target/`` and parameters.csv into ``cfg.output``; return how many images.

    What is drawn for an image is a function of ``cfg.seed`` and of its name, the same as in
    evaluation: ``src.evaluate`` scores these very inputs. PNGs have 8 bits, or 16 where the clean
    image has more than 8.

    Raises:
        ConfigError: If the degradation cannot be built.
        DataError: If there is no image, one cannot be used, or results are there already.
    """
    output, folder = own_folder(from_root(cfg.output)), _folder(cfg)
    if output.exists() and not output.is_dir():
        raise DataError(f"output={shown(output)} is a file; a folder is needed.")
    if output.resolve().is_relative_to(folder.resolve()):  # a second start would degrade its images
        raise DataError(
            f"output={shown(output)} lies in input={shown(folder)}; take a folder elsewhere."
        )
    images = _opened(cfg, folder)
    if output.is_dir() and any(output.iterdir()) and not cfg.overwrite:
        raise DataError(
            f"{shown(output)} is not empty; set overwrite=true, or take another output."
        )
    degradation = make(cfg.degradation).eval()
    console = make_console(stderr=True)
    rows: list[Drawn] = []
    salt = (cfg.seed,) if cfg.seed else ()
    for index in track(range(len(images)), "Degrading", console=console):
        key = images.keys[index]
        pixels = images.load(index)
        target = mod_crop(to_tensor(pixels)[None], cfg.scale)
        with noted() as drawn:
            degraded = degradation(target, generator_for("cpu", "noise", *salt, key))
        for part, image in (("input", degraded[0]), ("target", target[0])):
            path = output / part / f"{key}.png"
            if pixels.dtype == np.uint8:
                write_png(path, to_image(image))
            else:
                write_photograph(path, Photograph(image, None, 16, len(image), None, {}, ()), "png")
        rows.append({"image": key, **drawn})
    _remove_images_before(output, set(images.keys))
    write_csv(output / PARAMETERS, _table(rows))
    settings = {key: plain(cfg)[key] for key in ("degradation", "scale", "channels", "seed")}
    write_json(output / "degradation.json", {**origin(), **settings})
    console.print(f"{len(images)} degraded into {shown(output)}: input, target, {PARAMETERS}")
    return len(images)


def _folder(cfg: DictConfig) -> Path:
    if not isinstance(cfg.input, str):
        raise ConfigError(f"input={cfg.input} must be one folder or one prepared set.")
    folder = from_root(cfg.input)
    if cfg.input in known_sets() and not folder.is_dir():
        return prepared_folder(cfg.paths.data_dir, cfg.input)
    return folder


def _opened(cfg: DictConfig, folder: Path) -> OpenImages:
    if not isinstance(cfg.scale, int) or cfg.scale < 1 or cfg.channels not in {1, 3}:
        raise ConfigError(
            f"scale={cfg.scale} channels={cfg.channels}: the scale is 1 or more, the channels are "
            "3 for colour or 1 for luma."
        )
    opener = Opener(cfg.channels, cache_dir=None, on_error=cfg.on_error, cache_limit=None)
    return opener.open(ImageFolder(folder), min_size=cfg.scale, reason="one pixel of {} px; crop")


def _remove_images_before(output: Path, keys: set[str]) -> None:
    """Remove the images of the run before, as its table names them, that are not of this one."""
    try:
        before = {row[0] for row in csv.reader((output / PARAMETERS).read_text().splitlines()[1:])}
    except FileNotFoundError:
        return
    for key in before - keys:
        for part in ("input", "target"):
            if Path(key).name == key:
                (output / part / f"{key}.png").unlink(missing_ok=True)


def _table(rows: Sequence[Drawn]) -> Iterator[Sequence[object]]:
    """Yield a head with all that was drawn for any image, and a row each with empty places."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    yield [*names]
    for row in rows:
        yield [row.get(name) for name in names]
