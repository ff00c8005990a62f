"""Images a second of `python -m src.train` beside a bare loop of the same network and optimizer.

python -m tools.training_loop [rounds=5] [threads=1] [networks=panet_tiny,edsr_tiny,dncnn]

The bare loop is a process of its own that knows neither Lightning nor the loader: its batches are
in memory, degraded already. Beside it, and in turn with it, round by round: one training; two
trainings at once, each by itself; and one training of two processes, whose batch is twice as
large, so that each computes what it does in the others. What two processes lose against two at
once is the exchange of gradients; what those lose against one, cores and memory that are shared.
Nothing else should run meanwhile.

Writes experiments/benchmarks/<device>_<torch>/training-loop.csv and .json.
"""

import csv
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.progress import track

from src.app.build import build_data, build_task
from src.core.paths import ROOT
from src.training.callbacks.csv_logger import METRICS
from tests.support.compose import compose_config
from tools.measured import write_record

NETWORKS = {
    "panet_tiny": ("task=denoise", "model=panet_tiny"),
    "edsr_tiny": ("task=super_resolution", "task.scale=2", "model=edsr_tiny"),
    "dncnn": ("task=denoise", "model=dncnn"),
}
STEPS = {"panet_tiny": 60, "edsr_tiny": 160, "dncnn": 30}  # about half a minute of one thread
DEFAULTS = {"rounds": "5", "threads": "1", "networks": ",".join(NETWORKS)}
BATCH, WINDOW, IN_MEMORY = 8, 10, 16
DATA = ("data=sample_photos", "data.patch_size=48", "data.workers=1", "trainer=cpu")
BARE, ONE, BESIDE, TOGETHER = "bare loop", "src.train", "two at once", "two processes"


def bare(words: Sequence[str], steps: int) -> float:
    """Return the images a second of the plainest loop, without its first steps."""
    cfg = compose_config(*words, *DATA, f"data.batch_size={BATCH}", f"trainer.max_steps={steps}")
    task, data = build_task(cfg), build_data(cfg)
    task._first_sample = lambda count: 0  # type: ignore[method-assign]
    data.prepare_data()
    data.setup("fit")
    with torch.no_grad():
        loader = itertools.islice(data.train_dataloader(), IN_MEMORY)
        pairs = [task.degrade(batch) for batch in loader]
    batches = [(task.net_input(pair), pair["target"]) for pair in pairs]
    optimizer = task.optimizer(task.net.parameters())
    task.net.train()
    begun = 0.0
    for step in range(steps):
        if step == WINDOW:
            begun = time.perf_counter()
        degraded, target = batches[step % IN_MEMORY]
        loss = task.loss(task.net(degraded), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return BATCH * (steps - WINDOW) / (time.perf_counter() - begun)


def trained(folder: Path) -> float:
    """Return the images a second that a training has logged, without its first window."""
    with (folder / METRICS).open(newline="") as file:
        speeds = [row["perf/images_per_s"] for row in csv.DictReader(file)]
    return statistics.harmonic_mean([float(speed) for speed in speeds if speed][1:])


def run(name: str, form: str, threads: int) -> float:
    """Return the images a second of one process under ``form``."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    words, steps = NETWORKS[name], STEPS[name]
    if form == BARE:
        command = [sys.executable, "-m", "tools.training_loop", "bare", *words, str(steps)]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
        )
        return float(done.stdout.split()[-1])
    processes = 2 if form == TOGETHER else 1
    length = (f"trainer.max_steps={steps}", f"trainer.val_check_interval={steps}")
    more = (f"data.batch_size={processes * BATCH}", f"trainer.log_every_n_steps={WINDOW}")
    two = ("trainer=ddp_cpu",) if processes == 2 else ()
    with tempfile.TemporaryDirectory() as outside:
        folders = [Path(outside, str(i)) for i in range(2 if form == BESIDE else 1)]
        command = [sys.executable, "-m", "src.train", *words, *DATA, *more, *length, *two]
        command += ["trainer.limit_val_batches=0", "callbacks.image_panels.limit=0", "logger=csv"]
        started = [
            subprocess.Popen(
                [*command, f"hydra.run.dir={folder}"],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for folder in folders
        ]
        codes = [process.wait() for process in started]
        if any(codes):
            sys.exit(f"{' '.join(command)} failed.")
        return statistics.mean(trained(folder) for folder in folders) / processes


def main() -> None:
    """Measure all forms in turn, print a table, write the record."""
    if sys.argv[1:2] == ["bare"]:
        sys.stdout.write(f"{bare(sys.argv[2:-1], int(sys.argv[-1]))}\n")
        return
    given = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    if unknown := sorted(given.keys() - DEFAULTS.keys()):
        sys.exit(f"{', '.join(unknown)}: known are {', '.join(DEFAULTS)}.")
    settings = DEFAULTS | given
    names, forms = settings["networks"].split(","), (BARE, ONE, BESIDE, TOGETHER)
    speeds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _, name, form in track(
        list(itertools.product(range(int(settings["rounds"])), names, forms))
    ):
        speeds[name, form].append(run(name, form, int(settings["threads"])))
    rows = []
    for (name, form), values in speeds.items():
        ratios = [value / bare for value, bare in zip(values, speeds[name, BARE], strict=True)]
        rows.append(
            {
                "network": name,
                "form": form,
                "images_per_s_a_process": round(statistics.median(values), 2),
                "of_the_bare_loop": round(statistics.median(ratios), 3),
                "least": round(min(ratios), 3),
                "most": round(max(ratios), 3),
            }
        )
    write_record("training-loop", rows, {**settings, "batch": BATCH, "patch": 48, "steps": STEPS})


if __name__ == "__main__":
    main()
