"""The zoo's networks on whole photographs: megapixels a second and memory, run in five ways.

    python -m tools.inference_speed [--networks zoo/denoise …] [--megapixels 0.25 1 12]

- loop: ``net(image)`` without gradients, as authors' scripts run their networks
- ours: what `src.predict` does: memory order and precision tried first, whole or in tiles, in a
  process that it has prepared
- bf16: the same with `precision=bf16`, where the processor has it
- compiled: ``torch.compile(net)(image)``; compiling is not counted
- onnxruntime: the network as `python -m src.export` writes it

Each run is a process of its own, in turn, A B C D E A B C D E …; memory is its peak beside
what it held before the image. Sizes are those of the restored picture. Nothing else should run
meanwhile. Writes experiments/benchmarks/<device>_<torch>/inference.csv and .json, anew after each
network, as the whole takes an hour and a quarter on two cores without AVX-512.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import psutil
import torch
from rich.progress import track
from torch import Tensor, nn

from src.app.inference import give_back_large_blocks
from src.app.processes.process import prepare_process
from src.commands.export.onnx_file import write_onnx
from src.commands.export.program import trace
from src.core.heap import give_back_freed
from src.core.memory import high_water_bytes, reset_high_water
from src.core.origin import emulates_bf16
from src.core.paths import ROOT
from src.core.seeding import generator_for
from src.core.types import RestorationNet
from src.inference.policy import InferencePolicy
from src.inference.portable import PortableNet, multiples
from src.inference.precision import Precision
from src.inference.restorer import Restorer
from src.weights.checkpoint import network_of, open_checkpoint
from src.weights.zoo import zoo_names
from tools.measured import write_record

FORMS = ("loop", "ours", "bf16", "compiled", "onnxruntime")
PRECISIONS = {"ours": "auto", "bf16": "bf16"}
Run = dict[str, float]
LARGE = 4e6
"""Pixels from which a picture is restored once: a minute says enough, and is long enough."""


def form_of(form: str, network: str, threads: int, exported: Path) -> Callable[[Tensor], object]:
    """Return what restores a picture."""
    if form == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(exported, options)
        return lambda image: session.run(None, {"degraded": image.numpy()})
    net = network_of(open_checkpoint(network)).requires_grad_(requires_grad=False)
    if form in PRECISIONS:
        return Restorer(net, InferencePolicy(), Precision(PRECISIONS[form]))
    plain: nn.Module = net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return torch.compile(plain) if form == "compiled" else plain


def once(form: str, network: str, pixels: float, threads: int, exported: Path) -> Run:
    """Return megapixels, seconds and peak bytes of one picture, after a first one."""
    if form in PRECISIONS:
        prepare_process()
        give_back_large_blocks()
    torch.set_num_threads(threads)
    restore = form_of(form, network, threads, exported)
    contract = cast("RestorationNet", network_of(open_checkpoint(network)))
    side = round(math.sqrt(pixels) / contract.scale / 12) * 12
    generator = generator_for("cpu", "inference")
    image = torch.rand(1, contract.in_channels, side, side, generator=generator)
    with torch.no_grad():
        restore(image if pixels < LARGE or form == "compiled" else image[..., :96, :96])
        give_back_freed()
        reset_high_water()
        before, begun = psutil.Process().memory_info().rss, time.perf_counter()
        restore(image)
    seconds = time.perf_counter() - begun
    peak = max(0, high_water_bytes() - before)
    return {
        "megapixels": (side * contract.scale) ** 2 / 1e6,
        "seconds": seconds,
        "peak": peak,
    }


def in_turn(given: argparse.Namespace) -> Iterator[dict[tuple[str, float, str], list[Run]]]:
    """Yield what every size and form took of the networks so far, each run in a process."""
    found: dict[tuple[str, float, str], list[Run]] = defaultdict(list)
    with TemporaryDirectory() as folder:
        for network in given.networks:
            net = network_of(open_checkpoint(network)).requires_grad_(requires_grad=False)
            program = trace(PortableNet(net, multiples(net)[0]), "any")
            write_onnx(program, Path(folder) / f"{Path(network).name}.onnx", {})
        runs = [
            (network, size, form)
            for network, size in itertools.product(given.networks, given.megapixels)
            for _ in range(1 if size * 1e6 >= LARGE else given.rounds)
            for form in given.forms
        ]
        for network, size, form in track(runs):
            words = ["--once", form, network, f"{folder}/{Path(network).name}.onnx"]
            words += [f"--megapixels={size}", f"--threads={given.threads}"]
            done = subprocess.run(
                [sys.executable, "-m", "tools.inference_speed", *words],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": str(given.threads)},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                sys.exit(f"{network}, {size} megapixels, {form}:\n{done.stderr}")
            found[network, size, form].append(json.loads(done.stdout.splitlines()[-1]))
            if (size, form) == (given.megapixels[-1], given.forms[-1]):
                yield found


def speed_of(runs: list[Run]) -> float:
    """Return the median of megapixels a second."""
    return statistics.median(run["megapixels"] / run["seconds"] for run in runs)


def main() -> None:
    """Measure what the command line says, print a table, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=zoo_names())
    parser.add_argument("--megapixels", nargs="*", type=float, default=[0.25, 1.0, 12.0])
    able = [form for form in FORMS if form != "bf16" or not emulates_bf16()]
    parser.add_argument("--forms", nargs="*", default=able, choices=FORMS)
    parser.add_argument("--rounds", type=int, default=3, help="for pictures below 4 megapixels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--once", nargs=3, help=argparse.SUPPRESS)  # form, network, .onnx
    given = parser.parse_args()
    if given.once:
        form, network, exported = given.once
        done = once(form, network, given.megapixels[0] * 1e6, given.threads, Path(exported))
        sys.stdout.write(json.dumps(done) + "\n")
        return
    for found in in_turn(given):
        write_record(
            "inference",
            rows_of(found, given.forms[0]),
            {"rounds": given.rounds, "threads": given.threads},
        )


def rows_of(
    found: Mapping[tuple[str, float, str], list[Run]], first: str
) -> list[dict[str, str | float]]:
    """Return a row for each network, size and form; speeds also beside those of ``first``."""
    return [
        {
            "network": network,
            "megapixels": size,
            "form": form,
            "megapixels_per_s": round(speed_of(runs), 3),
            f"of_{first}": round(speed_of(runs) / speed_of(found[network, size, first]), 2),
            "peak_mib": round(max(run["peak"] for run in runs) / 2**20),
        }
        for (network, size, form), runs in found.items()
    ]


if __name__ == "__main__":
    main()
