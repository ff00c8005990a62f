"""Restore a photograph with an exported network: NumPy, onnxruntime and Pillow, nothing else.

    python run_onnx.py net.onnx photo.jpg restored.png

Large images go through the network in tiles. Of each only the part counts that is 32 pixels from
the cuts, so that the seams are those of the whole image for networks that look no further.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

Planes = npt.NDArray[np.float32]

MARGIN = 32
"""Pixels of a tile beside each cut that do not count; a quarter of a tile that is too small."""

GRID = 8
"""Tiles begin at multiples of this: the period of mosaics, JPEG blocks and half resolutions."""

PATIENCE = 5.0
"""Seconds between two lines that say how far the work is."""

Piece = tuple[int, int, int, int]


def margin_of(tile: int, grid: int = GRID) -> int:
    """Return how many pixels beside a cut do not count, for tiles of this side."""
    return MARGIN if tile - 2 * MARGIN >= grid else tile // 4


def pieces(size: int, tile: int, grid: int = GRID) -> list[Piece]:
    """Return where tiles begin and end along an axis, and from where to where each counts.

    Raises:
        SystemExit: If the axis is longer than a tile, and tiles are too small to be joined.
    """
    margin = margin_of(tile, grid)
    step = (tile - 2 * margin) // grid * grid
    if size <= tile:
        return [(0, size, 0, size)]
    if step < 1:
        raise SystemExit(
            f"Tiles of {tile} pixels cannot be joined: they begin at multiples of {grid}, and so "
            f"must have {2 * grid} pixels a side or more. Take --tile {max(256, 2 * grid)}; a "
            f"network for one size must be exported for a larger one."
        )
    starts = range(0, size - tile + step, step)
    cuts = [0, *(start + margin for start in starts[1:]), size]
    return [
        (start, min(start + tile, size), begin, end)
        for start, (begin, end) in zip(starts, pairwise(cuts), strict=True)
    ]


def restore(session: Any, image: Planes, tile: int = 256) -> Planes:  # noqa: ANN401
    """Map (C, H, W) in [0, 1] to (C', s·H, s·W), not clipped; long work says how far it is.

    Args:
        session: Of onnxruntime.
        image: What the network takes.
        tile: Side of a tile in pixels; a network for one size has its own.

    Raises:
        SystemExit: If tiles are too small to be joined.
    """
    about = session.get_modelmeta().custom_metadata_map
    scale, least, multiple = (
        json.loads(about.get(key, "1")) for key in ("scale", "least_side", "padded_to")
    )
    grid = math.lcm(GRID, multiple)  # what the network cuts into windows is cut alike in all tiles
    given = session.get_inputs()[0].shape[-2:]
    fixed = [side if isinstance(side, int) else 0 for side in given]
    (height, width), channels = image.shape[-2:], session.get_outputs()[0].shape[1]
    tall, wide = (side or max(tile // grid * grid, 0) for side in fixed)
    rows, columns = pieces(height, tall, grid), pieces(width, wide, grid)
    for there, side in ((rows, tall), (columns, wide)):
        if len(there) > 1 and margin_of(side, grid) < MARGIN:
            say(
                f"Tiles of {side} pixels count from {margin_of(side, grid)} beside their cuts, not "
                f"{MARGIN}: seams may show."
            )
    restored = np.empty((channels, height * scale, width * scale), np.float32)
    parts = [(row, column) for row in rows for column in columns]
    for (top, bottom, upper, lower), (left, right, first, last) in told(parts):
        part = image[:, top:bottom, left:right]
        part = extended(part, [side or least for side in fixed])
        [made] = session.run(None, {"degraded": part[None]})
        restored[:, upper * scale : lower * scale, first * scale : last * scale] = made[
            0,
            :,
            (upper - top) * scale : (lower - top) * scale,
            (first - left) * scale : (last - left) * scale,
        ]
    return restored


def extended(image: Planes, sides: list[int]) -> Planes:
    """Mirror (C, H, W) at its last row and column up to ``sides``, which keeps a mosaic's cells."""
    missing = [max(0, side - there) for side, there in zip(sides, image.shape[-2:], strict=True)]
    return np.pad(image, ((0, 0), *((0, lacking) for lacking in missing)), mode="reflect")


def told(parts: list[tuple[Piece, Piece]]) -> Iterator[tuple[Piece, Piece]]:
    """Yield the parts, and say after each few seconds how many are done and what is left."""
    began = last = time.monotonic()
    for done, part in enumerate(parts):
        now = time.monotonic()
        if done and now - last >= PATIENCE:
            left = (now - began) / done * (len(parts) - done)
            say(f"{done} of {len(parts)} tiles, about {left:.0f} s left")
            last = now
        yield part


def say(words: str) -> None:
    """Say something beside the results."""
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


def opened(path: str) -> Any:  # noqa: ANN401
    """Return a session for an exported network; SystemExit if the file is not one."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many kinds
        raise SystemExit(f"{path} cannot be opened as an .onnx file: {error}") from None
    if "scale" not in session.get_modelmeta().custom_metadata_map:
        raise SystemExit(f"{path} was not written by src.export: it does not say its scale.")
    return session


def read(path: str, *, grey: bool) -> tuple[Planes, bytes | None]:
    """Return a photograph upright as (C, H, W) in [0, 1], and its colour profile.

    Raises:
        SystemExit: If it cannot be read, or has more than 8 bits or transparency, which would be
            lost.
    """
    try:
        with Image.open(path) as photograph:
            deep = has_more_than_8_bits(photograph)
            upright = ImageOps.exif_transpose(photograph)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SystemExit(f"{path} cannot be read as a photograph: {error}") from None
    if deep:
        raise SystemExit(f"{path} has more than 8 bits; convert it to 8 bits, or use src.predict.")
    if upright.has_transparency_data:
        raise SystemExit(f"{path} has transparency; flatten it first, or use src.predict.")
    mode = "L" if grey else "RGB"
    profile = upright.info.get("icc_profile") if upright.mode == mode else None
    levels = np.asarray(upright.convert(mode), np.float32)
    return np.atleast_3d(levels / np.float32(255)).transpose(2, 0, 1), profile


def has_more_than_8_bits(photograph: Image.Image) -> bool:
    """Say whether a file that is not decoded yet has; of colour Pillow would drop them silently."""
    bits = getattr(photograph, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, 8)  # of a TIFF
    codecs = [(tile[0], tile[3]) for tile in getattr(photograph, "tile", [])]
    return (
        photograph.mode[0] in "IF"
        or bool(np.max(bits) > 8)
        or any(";16" in str(form) for _, form in codecs)
        or any(name.startswith("ppm") and form[-1] > 255 for name, form in codecs)
    )


def check_output(path: Path) -> None:
    """Refuse, before the work, an output that cannot be written after it; SystemExit says why."""
    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise SystemExit(f"{path} must end like a picture, e.g. .png or .jpg.")
    if not path.parent.is_dir():
        raise SystemExit(f"The folder {path.parent} does not exist; make it first.")


def main() -> None:
    """Restore what the command line names."""
    parser = argparse.ArgumentParser(description="Restore a photograph with an exported network.")
    parser.add_argument("network", help="the .onnx file")
    parser.add_argument("photograph", help="what the network takes: noisy, small, a mosaic, …")
    parser.add_argument("output", type=Path, help="a .png or .jpg file")
    parser.add_argument("--tile", type=int, default=256, help="side of a tile in pixels")
    parser.add_argument("--sigma", type=float, help="noise level, 0 to 255, for a network told it")
    given = parser.parse_args()
    check_output(given.output)
    session = opened(given.network)
    wanted, returned = session.get_inputs()[0].shape[1], session.get_outputs()[0].shape[1]
    if (wanted == returned + 1) != (given.sigma is not None):
        parser.error(
            "this network is not told the noise level: leave --sigma out"
            if wanted == returned
            else "this network is told the noise level: add --sigma 25, or what it is"
        )
    image, profile = read(given.photograph, grey=returned == 1)
    if given.sigma is not None:
        if not 0 <= given.sigma <= 255:
            parser.error(f"--sigma {given.sigma}: it is from 0 to 255")
        image = np.concatenate([image, np.full_like(image[:1], given.sigma / 255)])
    levels = (restore(session, image, given.tile).clip(0, 1) * 255).round().astype(np.uint8)
    restored = Image.fromarray(levels.transpose(1, 2, 0).squeeze())
    restored.save(given.output, quality=95, icc_profile=profile)


if __name__ == "__main__":
    main()
