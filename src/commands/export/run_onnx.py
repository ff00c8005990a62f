"""Restore a photograph with an exported network: NumPy, onnxruntime and Pillow, nothing else.

    python run_onnx.py net.onnx photo.jpg restored.png

Large images go through the network in tiles. Of each only the part counts that is 32 pixels from
the cuts, so that the seams are those of the whole image for networks that look no further.
"""

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Planes = npt.NDArray[np.float32]

MARGIN = 32
"""Pixels of a tile beside each cut that do not count."""

GRID = 8
"""Tiles begin at multiples of this: the period of mosaics, JPEG blocks and half resolutions."""


def pieces(size: int, tile: int) -> list[tuple[int, int, int, int]]:
    """Return where tiles begin and end along an axis, and from where to where each counts."""
    starts = range(0, max(size - 2 * MARGIN, 1), tile - 2 * MARGIN)
    cuts = [0, *(start + MARGIN for start in starts[1:]), size]
    return [
        (start, min(start + tile, size), begin, end)
        for start, (begin, end) in zip(starts, pairwise(cuts), strict=True)
    ]


def restore(session: Any, image: Planes, tile: int = 256) -> Planes:  # noqa: ANN401
    """Map (C, H, W) in [0, 1] to (C', s·H, s·W), not clipped.

    Args:
        session: Of onnxruntime.
        image: What the network takes.
        tile: Side of a tile in pixels; a network for one size has its own.

    Raises:
        SystemExit: If a tile would have no part that counts.
    """
    about = session.get_modelmeta().custom_metadata_map
    scale, least = (json.loads(about.get(key, "1")) for key in ("scale", "least_side"))
    given = session.get_inputs()[0].shape[-2:]
    fixed = [side if isinstance(side, int) else 0 for side in given]
    tall, wide = (side or tile // GRID * GRID for side in fixed)
    if min(tall, wide) <= 2 * MARGIN:
        advice = "export the network for a larger size=…" if any(fixed) else "e.g. --tile 256"
        raise SystemExit(f"Tiles must have more than {2 * MARGIN} pixels a side: {advice}.")
    channels, height, width = session.get_outputs()[0].shape[1], *image.shape[-2:]
    restored = np.empty((channels, height * scale, width * scale), np.float32)
    for top, bottom, upper, lower in pieces(height, tall):
        for left, right, first, last in pieces(width, wide):
            part = image[:, top:bottom, left:right]
            missing = [
                (0, max(0, (side or least) - there))
                for side, there in zip(fixed, part.shape[-2:], strict=True)
            ]
            part = np.pad(part, ((0, 0), *missing), mode="symmetric")
            [made] = session.run(None, {"degraded": part[None]})
            restored[:, upper * scale : lower * scale, first * scale : last * scale] = made[
                0,
                :,
                (upper - top) * scale : (lower - top) * scale,
                (first - left) * scale : (last - left) * scale,
            ]
    return restored


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
            upright = ImageOps.exif_transpose(photograph)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SystemExit(f"{path} cannot be read as a photograph: {error}") from None
    if upright.mode[0] in "IF":
        raise SystemExit(f"{path} has more than 8 bits; convert it to 8 bits, or use src.predict.")
    if upright.has_transparency_data:
        raise SystemExit(f"{path} has transparency; flatten it first, or use src.predict.")
    mode = "L" if grey else "RGB"
    profile = upright.info.get("icc_profile") if upright.mode == mode else None
    levels = np.asarray(upright.convert(mode), np.float32)
    return np.atleast_3d(levels / np.float32(255)).transpose(2, 0, 1), profile


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
