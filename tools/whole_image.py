"""The paper-size PANet on a whole photograph: time, memory, and equality with the plain form.

``python -m tools.whole_image image=<a PNG> minutes=4`` starts ``src.predict`` on the whole
image, also within windows, in feathered tiles and in the papers' tiles, each in a process of its
own; then it compares the whole image's result with one whose attention the plain form has computed,
band by band of query rows. What is done lies in ``outputs/whole_image``; when the minutes are over
it stops, and the same command goes on; ``part=time`` and ``part=compare`` do one of the two. At the
end it writes experiments/benchmarks/<device>_<torch>/whole-image.csv and .json. The weights are
random, of a fixed seed: none of the published size are at hand.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from src.app.build import make, plain
from src.core.paths import ROOT
from src.core.seeding import generator_for, seed_from
from src.data.image_io import read_image, to_image, to_tensor, write_png
from src.models.attention.pyramid import PyramidAttention
from src.ops.attention.chunked import chunked_patch_attention
from src.weights.network_file import open_network, write_network
from tests.support.compose import compose_config
from tools.measured import write_record

WORK = ROOT / "outputs" / "whole_image"
IMAGE = ROOT.parent / "shared/data/benchmarks/CBSD68/101085.png"
SIGMA = 25
ROWS = 40
"""Query rows of a band."""

HALO = 2
"""Rows around a band whose patches reach into it: one for pasting, one for those patches' own."""

WAYS = {
    "whole": ("inference.tile=auto",),
    "whole, windows of 49": ("inference.tile=null", "inference.window=49"),
    "tiles of 96": ("inference.tile=96",),
    "tiles of the papers": ("inference.tiling=paper", "inference.paper_pixels=6800"),
}


def prepare(image: Path) -> None:
    """Write the noisy image and the network, unless they are there."""
    WORK.mkdir(parents=True, exist_ok=True)
    if not (WORK / "noisy.png").exists():
        clean = to_tensor(read_image(image, channels=3))
        noise = torch.randn(clean.shape, generator=generator_for("cpu", "noise", image.name))
        write_png(WORK / "noisy.png", to_image(clean + noise * SIGMA / 255))
    if not (WORK / "panet.safetensors").exists():
        cfg = compose_config("task=denoise", "model=panet")
        with torch.random.fork_rng(devices=[]):
            torch.random.manual_seed(seed_from("whole image", 0))
            net = make(cfg.model)
        about = {"version": "test", "commit": None, "source": "random weights, fixed seed"}
        write_network(WORK / "panet.safetensors", net.state_dict(), plain(cfg.model), about)


def restore(name: str) -> dict[str, Any]:
    """Run ``src.predict`` one way, as a user would; return its seconds, its peak and its words."""
    place = re.sub(r"\W+", "_", name)  # a comma in a word would be a list
    words = ("checkpoint=panet.safetensors", "input=noisy.png", f"output={place}")
    words = tuple(word.replace("=", f"={WORK}/", 1) for word in words)
    command = [sys.executable, "-m", "src.predict", *words, "overwrite=true", *WAYS[name]]
    start = time.perf_counter()
    with (WORK / "said").open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, stderr=file)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # wait4 has taken it
    said = (WORK / "said").read_text()
    if status:
        raise RuntimeError(said)
    chosen = next(line for line in said.splitlines() if line.startswith("Inference"))
    return {
        "way": name,
        "seconds": round(time.perf_counter() - start, 1),
        "peak_gib": round(usage.ru_maxrss / 2**20, 2),
        "says": chosen.removeprefix("Inference").strip(),
    }


def noisy() -> Tensor:
    """Return what the network is given, (1, 3, H, W)."""
    return to_tensor(read_image(WORK / "noisy.png", channels=3))[None]


def capture() -> dict[str, Tensor]:
    """Return the attention's input and output and the restored image, of the whole image."""
    file = WORK / "captured.pt"
    if not file.exists():
        net, held = open_network(WORK / "panet.safetensors"), {}
        _block(net).register_forward_hook(
            lambda _, given, made: held.update(features=given[0], attended=made)
        )
        with torch.no_grad():
            held["restored"] = net(noisy())
        torch.save(held, file)
    captured: dict[str, Tensor] = torch.load(file, weights_only=True)
    return captured


def _block(net: nn.Module) -> PyramidAttention:
    return next(module for module in net.modules() if isinstance(module, PyramidAttention))


def bands(height: int) -> Iterator[tuple[int, int]]:
    """Yield the first row of each band, and one past its last."""
    for top in range(0, height, ROWS):
        yield top, min(top + ROWS, height)


@torch.no_grad()
def plain_band(block: PyramidAttention, features: Tensor, top: int, bottom: int) -> Tensor:
    """Return rows of the attention block's result by the plain form, over all keys of the image."""
    begin, end = max(0, top - HALO), min(features.shape[2], bottom + HALO)
    levels = [block._shrink(features, scale) for scale in block.scales]
    attended = chunked_patch_attention(
        block.query(features)[:, :, begin:end],
        [block.key(level) for level in levels],
        [block.value(level) for level in levels],
        softmax_scale=block.softmax_scale,
        min_norm=block.min_norm,
    )
    inner = attended[:, :, top - begin : bottom - begin]
    return inner + block.residual_scale * features[:, :, top:bottom]


def compare(until: float) -> dict[str, Any] | None:
    """Compute what bands are missing; return the differences, or None if time ran out before."""
    captured, block = capture(), _block(open_network(WORK / "panet.safetensors"))
    features = captured["features"]
    found = []
    for top, bottom in bands(features.shape[2]):
        file = WORK / f"band_{top}.pt"
        if not file.exists():
            if time.monotonic() > until:
                return None
            torch.save(plain_band(block, features, top, bottom), file)
            sys.stdout.write(f"rows {top} to {bottom} of {features.shape[2]}\n")
        found.append(torch.load(file, weights_only=True))
    expected = torch.cat(found, dim=2)
    return {
        "attention_difference": _largest(captured["attended"] - expected),
        "attention_size": _largest(expected),
        "attention_adds": _largest(expected - block.residual_scale * features),
        "image_difference": _largest(captured["restored"] - restored_after(expected)),
        "image_size": _largest(captured["restored"]),
    }


@torch.no_grad()
def restored_after(attended: Tensor) -> Tensor:
    """Return the image that the network makes where its attention's result is ``attended``."""
    net = open_network(WORK / "panet.safetensors")
    _block(net).forward = lambda _: attended  # type: ignore[method-assign]
    restored: Tensor = net(noisy())
    return restored


def _largest(tensor: Tensor) -> float:
    return float(tensor.abs().max())


def main() -> None:
    """Do what is not done yet, for so many minutes; write the record when all is."""
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    until = time.monotonic() + 60 * float(given.get("minutes", "inf"))
    prepare(Path(given.get("image", IMAGE)))
    times = WORK / "times.json"
    done = json.loads(times.read_text()) if times.exists() else []
    for name in list(WAYS)[len(done) :] if given.get("part") != "compare" else []:
        done.append(restore(name))
        times.write_text(json.dumps(done))
        sys.stdout.write(f"{done[-1]}\n")
    if given.get("part") == "time":
        return
    differences = compare(until)
    if differences is None:
        sys.stdout.write("The time is over; the same command goes on.\n")
        return
    settings = {"image": Path(given.get("image", IMAGE)).name, "sigma": SIGMA, **differences}
    write_record("whole-image", json.loads(times.read_text()), settings)
    sys.stdout.write(f"{json.dumps(differences, indent=2)}\n")


if __name__ == "__main__":
    main()
