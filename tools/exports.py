"""Export every network and attention block, small, and run what came out at sizes of all kinds.

    python -m tools.exports [model or model+block …]

A process of its own, because the run-time checks of types that tests switch on ask a traced size
for its number. One JSON object a line: name, and the largest difference or the refusal.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
from hydra.utils import instantiate

from src.commands.export.program import differences, opened, trace
from src.core.errors import ExemplarError
from src.inference.portable import PortableNet, multiples
from src.models.attention import ATTENTION
from src.models.backbones import BACKBONES
from tests.support.compose import compose_config

SIZES = [(16, 16), (17, 40), (48, 64), (51, 23)]
SMALL = {"blocks": 2, "groups": 2, "depth": 2, "channels": 16}
UNTRACED = ("bicubic", "bm3d", "identity")  # nothing to take out: they have no weights
NAMES = [
    *(name for name in BACKBONES if name not in UNTRACED),
    *(f"edsr+{block}" for block in ATTENTION),
]


def small(name: str) -> torch.nn.Module:
    """Return the network of ``model`` or ``model+block``, small, at the first scale it takes."""
    model, _, block = name.partition("+")
    words = [f"model={model}", *([f"model/attention={block}"] if block else [])]
    scale = 2 if model in {"csnln", "fsrcnn", "imdn", "carn_m"} else 1
    node = compose_config(*words, f"io.scale={scale}").model
    for key, value in SMALL.items():
        if isinstance(node.get(key), int):
            node[key] = value
    net: torch.nn.Module = instantiate(node, _convert_="all")
    return net.eval().requires_grad_(False)


def exported(name: str, folder: Path) -> float:
    """Return the largest difference between a network and its file."""
    net = small(name)
    error: ExemplarError | None = None
    for multiple in multiples(net):
        portable = PortableNet(net, multiple)
        try:
            torch.export.save(trace(portable, "any"), folder / "net.pt2")
            sizes = [(max(h, portable.least), max(w, portable.least)) for h, w in SIZES]
            found = differences(opened(folder / "net.pt2", ".pt2"), portable, sizes, 1e-4)
        except ExemplarError as refusal:
            error = refusal
        else:
            return max(found.values())
    assert error is not None
    raise error


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        for each in sys.argv[1:] or NAMES:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                try:
                    said: dict[str, object] = {"difference": exported(each, Path(place))}
                except ExemplarError as refused:
                    said = {"refused": str(refused)}
            sys.stdout.write(json.dumps({"name": each, **said}, ensure_ascii=False) + "\n")
            sys.stdout.flush()
