"""Explain: which places of an image attention looks at when it restores one of them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from rich.progress import track

from src.app.build import plain
from src.app.inference import give_back_large_blocks, merge_inference, pick_device, with_attention
from src.app.restoration import Point, Restoration, looks, restoration
from src.core.console import FoldingTable, make_console
from src.core.errors import ConfigError, DataError, did_you_mean
from src.core.files import sha256, write_json, written
from src.core.origin import origin
from src.core.paths import from_root, shown
from src.core.seeding import generator_for
from src.data.image_io import write_png
from src.data.photograph import read_photograph
from src.data.source import ImageFolder
from src.inference.attention_maps import Look, shown_blocks, which
from src.inference.attention_picture import draw_attention
from src.inference.policy import InferencePolicy
from src.inference.restorer import Restorer
from src.ops.attention.one_query import Spread, mean_spread
from src.weights.checkpoint import Checkpoint, network_of, open_checkpoint
from src.weights.conversion import with_published_weights

RECORD = "attention.json"

MOST_QUERIES, MOST_ROWS = 10_000, 20

_HELD = 2**26
"""How many weights of maps are held at once, about, four bytes each."""


def explain(cfg: DictConfig) -> None:
    """Draw where attention looks for the points of one image, or write means over many.

    Raises:
        ConfigError: If a key has a value that is not possible, or the network has no attention
            with a map.
        DataError: If there is no image, a point is outside of it, or the result is there already.
    """
    for key, most in (("strongest", 100), ("near", math.inf), ("queries", MOST_QUERIES)):
        if not 0 <= cfg[key] <= most:
            allowed = "0 or more" if most == math.inf else f"0 to {most}"
            raise ConfigError(f"{key}={cfg[key]} is not possible; it is {allowed}.")
    point = plain(cfg)["point"]
    if point == []:
        raise ConfigError("point=[] names none; give point=[x,y], or leave it out for the middle.")
    if point is not None and len(point) > MOST_ROWS:
        raise ConfigError(
            f"point=… names {len(point)} points; a picture has room for {MOST_ROWS}. Make several "
            f"pictures, or take means over up to {MOST_QUERIES} points with queries=…"
        )
    cfg = with_published_weights(cfg)
    checkpoint = with_attention(open_checkpoint(cfg.checkpoint), cfg.attention)
    OmegaConf.resolve(checkpoint.config)
    give_back_large_blocks()
    net = network_of(checkpoint)
    blocks = _blocks(net, cfg.module, checkpoint)
    device = pick_device(cfg.device)
    policy = InferencePolicy(**merge_inference(checkpoint, cfg.inference))
    told = {key: cfg[key] for key in ("scale", "sigma", "phase")}
    way = restoration(Restorer(net.to(device), policy), checkpoint, device, **told)
    files = _files(plain(cfg)["input"])
    if cfg.queries > 0:
        _write_means(cfg, checkpoint, way, blocks, files)
    elif len(files) == 1:
        _write_picture(cfg, way, *files.values())
    else:
        raise ConfigError(
            f"input has {len(files)} images, and a picture is of one; queries=100 writes means "
            "over random points of all."
        )


def _blocks(net: torch.nn.Module, asked: str | None, checkpoint: Checkpoint) -> list[str]:
    """Return the names of the blocks that are asked for, in the network's order."""
    names = list(shown_blocks(net))
    if not names:
        kind = (checkpoint.config.model.get("attention") or {}).get("_target_", "no attention")
        raise ConfigError(
            f"{type(net).__name__} of {checkpoint.path} has no attention that weighs places "
            f"(it has {str(kind).rpartition('.')[2]}), so there is nothing to draw. Take a network "
            "with pyramid, pyramid_local, cross_scale, in_scale_non_local or non_local, e.g. from "
            "python -m src.train model=panet_tiny"
        )
    if asked is None:
        return names
    if asked not in names:
        raise ConfigError(f"module={asked}: {did_you_mean(asked, names, limit=len(names))}")
    return [asked]


def _files(given: str | Sequence[str]) -> dict[str, Path]:
    """Return key → file of the images that ``input`` names."""
    files: dict[str, Path] = {}
    for one in [given] if isinstance(given, str) else given:
        path = from_root(one)
        if not path.exists():
            raise DataError(f"input={one}: no such file or folder.")
        files |= ImageFolder(path).files() if path.is_dir() else {path.name: path}
    return files


def _output(given: str | None, default: Path, source: Path, *, overwrite: bool) -> Path:
    """Return where the result goes."""
    target = default if given is None else from_root(given)
    if target.is_dir():
        target = target / default.name
    if target.resolve() == source.resolve() or (target.exists() and not overwrite):
        raise DataError(
            f"{shown(target)} is there already; set overwrite=true, or another output=<file>."
        )
    return target


def _write_picture(cfg: DictConfig, way: Restoration, file: Path) -> None:
    """Draw what the block looks at from the points, and print the numbers."""
    points = _points(plain(cfg)["point"], file)
    name = "_".join(map(str, [file.stem, "attention", *points[0]]))
    target = _output(cfg.output, file.with_name(f"{name}.png"), file, overwrite=cfg.overwrite)
    several = looks(way, read_photograph(file), shown(file), points)
    block = cfg.module or [*several[0].maps][-1]  # in the order of their calls
    console = make_console(stderr=True)
    console.print(f"Block       {which(block, several[0].maps)}")
    for point, seen in zip(points, several, strict=True):
        console.print(_numbers(point, seen, block, cfg.near))
        console.print(_strongest(seen, block, cfg.strongest, way.enlarge))
    pairs = [(seen.piece, seen.maps[block]) for seen in several]
    with written(target, "Set output=<file>."):
        write_png(target, draw_attention(pairs, count=cfg.strongest))
    console.print(f"Written     {shown(target)}")


def _points(given: Any, file: Path) -> list[Point]:  # noqa: ANN401
    """Return the points that are asked for, or the middle of the image."""
    if given is None:
        height, width = read_photograph(file).image.shape[-2:]
        return [(width // 2, height // 2)]
    several = given if isinstance(given[0], list) else [given]
    return [(x, y) for x, y in several]


def _numbers(point: Point, seen: Look, block: str, near: float) -> str:
    """Return in words how the weights of a point are spread."""
    spread_out, scales = seen.maps[block].in_words(near)
    return f"Point       {point[0]},{point[1]}{seen.where}: {spread_out}\nScales      {scales}"


def _strongest(seen: Look, block: str, count: int, enlarge: int) -> FoldingTable:
    """Return a table of the strongest keys, in pixels of the image."""
    table = FoldingTable(["key"], ["scale", "weight", "x", "y", "width", "height"])
    for number, key in enumerate(seen.maps[block].strongest(count), start=1):
        box = key.box
        across = (seen.left + box.column, seen.top + box.row, box.width, box.height)
        sides = [f"{value / enlarge:.1f}" for value in across]
        scale = f"×{seen.maps[block].scale(key.level)}"
        table.add_row(str(number), scale, f"{key.weight:.2%}", *sides)
    return table


def _write_means(
    cfg: DictConfig,
    checkpoint: Checkpoint,
    way: Restoration,
    blocks: Sequence[str],
    files: Mapping[str, Path],
) -> None:
    """Write how the weights of random points are spread, of each image and of all together."""
    first = next(iter(files.values()))
    target = _output(cfg.output, first.with_name(RECORD), first, overwrite=cfg.overwrite)
    console = make_console(stderr=True)
    spreads: dict[str, dict[str, Spread]] = {block: {} for block in blocks}
    maps = len(blocks) * way.enlarge**2  # a point's, by pixels of the file
    for key, file in track(files.items(), "Looking", console=console):
        found: dict[str, list[Spread]] = {block: [] for block in blocks}
        for points in _drawn(file, cfg.queries, cfg.seed, key, maps):
            for seen in looks(way, read_photograph(file), shown(file), points):
                for block, several in found.items():
                    several.append(seen.maps[block].spread(cfg.near))
        for block, several in found.items():
            spreads[block][key] = mean_spread(several)
    columns = ["effective keys", "near", "distance"]
    table = FoldingTable(["block"], columns, ["weight of each scale"])
    content: dict[str, Any] = {}
    for block, images in spreads.items():
        mean = mean_spread(list(images.values()))
        masses = ", ".join(f"{mass:.1%}" for mass in mean.levels)
        numbers = (f"{mean.effective_keys:.1f}", f"{mean.near:.1%}", f"{mean.distance:.1f}")
        table.add_row(block, *numbers, masses)
        content[block] = {
            "mean": asdict(mean),
            "images": {key: asdict(one) for key, one in images.items()},
        }
    about = {**origin(), "checkpoint": str(checkpoint.path), "sha256": sha256(checkpoint.path)}
    about |= {"queries": cfg.queries, "seed": cfg.seed, "near": cfg.near}
    about["inference"] = way.restorer.policy.as_dict()
    with written(target, "Set output=<file>."):
        write_json(target, {**about, "blocks": content})
    console.print(table)
    console.print(f"Written     {shown(target)}")


def _drawn(file: Path, count: int, seed: int, key: str, maps: int) -> Iterator[list[Point]]:
    """Yield random points of an image, the same at each start, as many as memory may hold maps."""
    height, width = read_photograph(file).image.shape[-2:]
    generator = generator_for("cpu", "explain", seed, key)
    drawn = torch.rand(count, 2, generator=generator).tolist()
    points = [(int(x * width), int(y * height)) for x, y in drawn]
    held = max(1, _HELD // (maps * width * height))
    return (points[start : start + held] for start in range(0, count, held))
