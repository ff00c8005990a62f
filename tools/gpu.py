"""All that needs a card, in one command: ``python -m tools.gpu`` (or ``make gpu``).

Tests marked ``gpu``; the forms of attention, forward and backward; PyTorch's own kernels on the
same patches; training steps of the papers' networks with their share of the card's roof; the speed
of the loader beside it. What was measured is written to experiments/benchmarks/<card>_<torch>/.
A step that fails does not keep the others from running; the exit status then is 1.
"""

import csv
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass

import torch

from src.core.paths import ROOT
from tools.measured import write_record

LOGS = ROOT / "outputs/gpu"
LIMIT_S = 180
"""A step that takes longer is ended: nine minutes must do for all."""


@dataclass(frozen=True)
class Step:
    """One command, run as a process of its own."""

    name: str  # what it is called in the table, and its log
    words: tuple[str, ...]  # what follows ``python -m``
    limit_s: int = LIMIT_S  # seconds after which it is ended


def _attention(precision: str, kind: str, sizes: str, forms: str, runs: int) -> Step:
    name = f"attention_{kind}_{precision}_{sizes.replace(',', '_')}"
    return Step(
        name,
        (
            "src.benchmark",
            "what=attention",
            f"sizes=[{sizes}]",
            f"forms=[{forms}]",
            f"passes=[{kind}]",
            f"precision={precision}",
            f"runs={runs}",
            "device=cuda",
            f"name={name}",
        ),
    )


def _training(model: str, batch: int, side: int, precision: str, *words: str) -> Step:
    name = f"training_{model.replace('/', '_')}_{precision}"
    return Step(
        name,
        (
            "src.benchmark",
            "what=training",
            f"model={model}",
            f"batch={batch}",
            f"sizes=[{side}]",
            f"precision={precision}",
            "runs=5",
            "warmup=1",
            "device=cuda",
            f"name={name}",
            *words,
        ),
    )


FORMS = "forms=[dense,chunked]"
PYRAMID = ("model/attention=pyramid", FORMS)
LOOPS = {
    "denoise": ("task=denoise", "data.patch_size=96"),
    "super_resolution": ("task=super_resolution", "task.scale=4", "data.patch_size=192"),
    "demosaic": ("task=demosaic", "data.patch_size=96"),
    "dejpeg": ("task=dejpeg_colour", "data.patch_size=96"),
}
"""Whole trainings, whose images a second are held beside those of the step alone."""


def _loop(name: str) -> Step:
    words = ("model=half_resolution", "model.blocks=16", "trainer=gpu", "channels_last=true")
    data = ("data=sample_photos", "data.batch_size=32", "data.workers=4")
    length = ("trainer.max_steps=400", "trainer.val_check_interval=400")
    run = f"hydra.run.dir={LOGS}/loop_{name}"
    return Step(
        f"loop_{name}",
        ("src.train", *words, *data, *length, "trainer.log_every_n_steps=100", *LOOPS[name], run),
    )


SMALL, LARGE = "48,64,96,128", "192,256"
STEPS = (
    Step(
        "tests",
        ("pytest", "-q", "-p", "no:cacheprovider", "-n", "6", "-m", "gpu", "tests/gpu"),
        200,
    ),
    Step("peaks_and_patches", ("tools.gpu_peaks",)),
    _attention("float32", "forward", SMALL, "papers,dense,chunked,local", 5),
    _attention("float32", "training", SMALL, "papers,dense,chunked,local", 5),
    _attention("bfloat16", "forward", SMALL, "papers,dense,chunked,local", 5),
    _attention("bfloat16", "training", SMALL, "papers,dense,chunked,local", 5),
    _attention("float32", "forward", LARGE, "chunked,local", 3),
    _training("panet", 16, 48, "float32", FORMS),
    _training("panet", 16, 48, "bfloat16", FORMS),
    _training("edsr", 16, 48, "bfloat16", "model/attention=pyramid", "io.scale=2", FORMS),
    _training("csnln", 16, 48, "bfloat16", "io.scale=2"),
    _training("half_resolution", 32, 96, "bfloat16", "model.blocks=16"),
    *map(_loop, LOOPS),
)


def run(step: Step) -> dict[str, object]:
    """Run one step to its end or its limit, its output in a file of ``LOGS``; return its row."""
    start = time.perf_counter()
    with (LOGS / f"{step.name}.log").open("w") as log:
        try:
            status = subprocess.run(
                [sys.executable, "-m", *step.words],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                timeout=step.limit_s,
                check=False,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            ).returncode
        except subprocess.TimeoutExpired:
            status = 124
    taken = round(time.perf_counter() - start, 1)
    return {"step": step.name, "status": status, "s": taken, "images_per_s": _speed(step.name)}


def _speed(name: str) -> str:
    """Return the images a second that a training logged last; nothing of other steps."""
    log = LOGS / name / "metrics.csv"
    if not log.is_file():
        return ""
    with log.open(newline="") as file:
        speeds = [row.get("perf/images_per_s") for row in csv.DictReader(file)]
    return next((f"{float(speed):.0f}" for speed in reversed(speeds) if speed), "")


def main(names: list[str]) -> int:
    """Run the steps whose names begin with one of ``names``, or all; return the exit status."""
    if not torch.cuda.is_available():
        sys.stderr.write(
            f"There is no CUDA GPU here, or torch {torch.__version__} is a build without CUDA: "
            "make install TORCH=cu126.\n"
        )
        return 2
    shutil.rmtree(LOGS, ignore_errors=True)  # a training does not overwrite another
    LOGS.mkdir(parents=True, exist_ok=True)
    rows = []
    for step in STEPS:
        if names and not step.name.startswith(tuple(names)):
            continue
        rows.append(run(step))
        sys.stdout.write(f"{rows[-1]}\n")
        sys.stdout.flush()
        if rows[-1]["status"]:
            tail = (LOGS / f"{step.name}.log").read_text(errors="replace").splitlines()[-15:]
            sys.stdout.write("\n".join([*tail, ""]))
    write_record("gpu", rows, {"card": torch.cuda.get_device_name()})
    return int(any(row["status"] for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
