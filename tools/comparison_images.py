"""Choose the images of a comparison of attention: those that repeat themselves, and others.

    .venv/bin/python -m tools.comparison_images benchmarks/BSD100 benchmarks/Set14 \
        --images data/attention_comparison --list experiments/attention_comparison/images.json

The rule, stated before any network was scored: of each image that is at least ``SIDE`` pixels high
and wide, the middle of ``SIDE``² pixels is taken, and its ``src.ops.recurrence.recurrence``
calculated. ``repeated`` are the ``COUNT`` with the largest shares; ``natural`` are ``COUNT`` of the
others, at even distances in the order of their shares.
"""

import argparse
import json
import logging
from pathlib import Path

from src.core.files import sha256, write_json
from src.data.image_io import Pixels, read_image, to_tensor, write_png
from src.data.source import ImageFolder
from src.ops.recurrence import recurrence

SIDE, COUNT = 192, 20

logger = logging.getLogger("comparison_images")


def middle(image: Pixels) -> Pixels | None:
    """Return the middle of an image, (192, 192, C); None of one that is smaller."""
    top, left = ((side - SIDE) // 2 for side in image.shape[:2])
    return image[top : top + SIDE, left : left + SIDE] if min(top, left) >= 0 else None


def chosen(shares: dict[str, float]) -> dict[str, list[str]]:
    """Return the names of the images of both sets, those of larger shares first."""
    ranked = sorted(shares, key=lambda name: (-shares[name], name))
    others = ranked[COUNT:]
    places = [round((number + 0.5) * len(others) / COUNT - 0.5) for number in range(COUNT)]
    return {"repeated": ranked[:COUNT], "natural": [others[place] for place in places]}


def main() -> None:
    """Write the images of both sets, and the list of all with their shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--images", type=Path, required=True, help="gets natural/ and repeated/")
    parser.add_argument("--list", type=Path, required=True, help="a .json file")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    middles: dict[str, Pixels] = {}
    for folder in arguments.folders:
        for key, path in ImageFolder(folder.resolve()).files().items():
            image = middle(read_image(path, channels=3))
            if image is not None:
                middles[f"{folder.name}_{key}"] = image
    shares = {name: recurrence(to_tensor(image)) for name, image in middles.items()}
    rows = []
    for kind, names in chosen(shares).items():
        for name in names:
            file = arguments.images / kind / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_png(file, middles[name])
            rows.append({"set": kind, "image": name, "recurrence": round(shares[name], 4),
                         "sha256": sha256(file)})  # fmt: skip
    rest = {name: round(share, 4) for name, share in sorted(shares.items())}
    write_json(arguments.list, {"side": SIDE, "chosen": rows, "all": rest})
    logger.info("%d images, %d chosen: %s", len(shares), len(rows), json.dumps(rows[0]))


if __name__ == "__main__":
    main()
