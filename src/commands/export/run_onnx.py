"""Restore a photograph with an exported network: NumPy, onnxruntime and Pillow, nothing else.

    python run_onnx.py net.onnx photo.jpg restored.png [tile]

Of large images tiles of 256 pixels (or ``tile``) go through the network one by one; where they
overlap, by 32 pixels, they are blended by ramps. A network that is told the noise level (one
channel more than it returns) takes it from the variable SIGMA, on the scale of 8 bits.
"""

import os
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

OVERLAP = 32


def starts(size: int, tile: int) -> list[int]:
    """Return where tiles begin along an axis; the last one ends with it."""
    if size <= tile:
        return [0]
    return [*range(0, size - tile, tile - OVERLAP), size - tile]


def ramp(length: int, scale: int, first: bool, last: bool) -> np.ndarray:
    """Return weights along one axis of a restored tile, falling to edges inside the image."""
    weight = np.ones(length * scale, np.float32)
    rise = np.arange(1, OVERLAP * scale + 1, dtype=np.float32) / (OVERLAP * scale + 1)
    edge = min(len(rise), len(weight))
    if not first:
        weight[:edge] = rise[:edge]
    if not last:
        weight[-edge:] = np.minimum(weight[-edge:], rise[:edge][::-1])
    return weight


def restore(session: onnxruntime.InferenceSession, image: np.ndarray, tile: int) -> np.ndarray:
    """Map (C, H, W) in [0, 1] to (C', s·H, s·W), not clipped; sides are 16 pixels or more."""
    scale = int(session.get_modelmeta().custom_metadata_map.get("scale", "1"))
    height, width = image.shape[-2:]
    total = np.zeros((1, height * scale, width * scale), np.float32)
    restored: np.ndarray = total
    for top in starts(height, tile):
        for left in starts(width, tile):
            part = image[None, :, top : top + tile, left : left + tile]
            tall, wide = part.shape[-2:]
            made = session.run(None, {"degraded": np.ascontiguousarray(part)})[0][0]
            down = ramp(tall, scale, top == 0, top + tall == height)
            weight = down[:, None] * ramp(wide, scale, left == 0, left + wide == width)
            if restored is total:
                restored = np.zeros((len(made), *total.shape[1:]), np.float32)
            rows = slice(top * scale, (top + tall) * scale)
            columns = slice(left * scale, (left + wide) * scale)
            restored[:, rows, columns] += made * weight
            total[:, rows, columns] += weight
    return np.asarray(restored / total)


def main() -> None:
    """Restore what the command line names."""
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    network, source, target, *more = sys.argv[1:]
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    wanted, returned = session.get_inputs()[0].shape[1], session.get_outputs()[0].shape[1]
    with Image.open(source) as photograph:
        mode = "L" if returned == 1 else "RGB"
        pixels = np.asarray(ImageOps.exif_transpose(photograph).convert(mode), np.float32) / 255
    image = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if wanted == returned + 1:
        level = np.full_like(image[:1], float(os.environ.get("SIGMA", "25")) / 255)
        image = np.concatenate([image, level])
    restored = restore(session, image, int(more[0]) if more else 256)
    bits = (restored.clip(0, 1) * 255).round().astype(np.uint8)
    Image.fromarray(bits[0] if len(bits) == 1 else bits.transpose(1, 2, 0)).save(target)


if __name__ == "__main__":
    main()
