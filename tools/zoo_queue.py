"""Train recipes of the zoo one after another; started again, go on where the last start stopped.

    nohup .venv/bin/python -m tools.zoo_queue denoise --state=outputs/zoo \
        data.train_dir=photos/train data.val_dir=photos/heldout >> outputs/zoo.log 2>&1 &

Each name stands for ``experiment=zoo/<name>``; what has a ``=`` goes to every training. The run of
a recipe is ``<state>/<name>``. Every ``--every`` minutes and at the end of a recipe the best
weights so far are written with 16 bits to ``<output>/<name>/model.safetensors``, and the
validation scores beside them to curve.csv. Without ``--output`` that is experiments/zoo: they take
the place of the network that comes along, better or worse; to try something, name another folder.
Ctrl-C and SIGTERM save the running step first. Where the processor only emulates bfloat16 it trains
in float32; a training that began on another kind goes on with ``accept_changes=true``.
"""

import argparse
import csv
import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

from src.core.origin import emulates_bf16
from src.core.paths import ROOT
from src.weights.network_file import read_network, write_network

LIMIT = 2_500_000  # most bytes of a weights file in the repository
ATTEMPTS = 3  # starts of a recipe before the next is taken: one process lost ends a training of two
TRAINER = ("trainer=ddp_cpu", "trainer.devices=2")

logger = logging.getLogger("zoo_queue")


def command(module: str, *overrides: str) -> list[str]:
    """Return the words that run one of the project's commands behind all other work."""
    return ["nice", "-n", "10", sys.executable, "-m", module, *overrides]


def train(recipe: str, run: Path, overrides: list[str]) -> subprocess.Popen[bytes]:
    """Start a recipe in the folder ``run``, or go on with it."""
    own = [f"experiment=zoo/{recipe}", f"hydra.run.dir={run}", "resume=auto"]
    precision = f"trainer.precision={'32-true' if emulates_bf16() else 'bf16-mixed'}"
    words = command("src.train", *own, *TRAINER, precision, *overrides)
    # A session of its own, so that Ctrl-C reaches it once, from here. Two processes of one thread
    # meet once a step; two threads of one process a hundred times, and other work makes them wait.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, cwd=ROOT, env=environment, start_new_session=True)


def export(run: Path, target: Path) -> None:
    """Write the best weights of ``run`` with 16 bits, and its validation scores, to ``target``.

    The weights are the average of the training where it keeps one. 16 bits here are IEEE's: 11
    of precision, three more than what the training itself computes with.
    """
    best, model = run / "checkpoints" / "best.ckpt", target / "model.safetensors"
    if not best.is_file() or (model.is_file() and model.stat().st_mtime > best.stat().st_mtime):
        return
    full = run / "best.safetensors"
    words = [f"checkpoint={run}", f"output={full}", "overwrite=true"]
    if subprocess.run(command("src.export", *words), cwd=ROOT, check=False).returncode:
        logger.error("%s: no export this time; the training goes on", run)
        return
    network = read_network(full)
    halved = {name: tensor.half() for name, tensor in network.weights.items()}
    write_network(model, halved, network.model, network.about)
    if model.stat().st_size > LIMIT:
        logger.error("%s: more than %d bytes, too large for the repository", model, LIMIT)
    write_curve(run / "metrics.csv", target / "curve.csv")
    logger.info("%s: weights of step %s", model, network.about.get("step"))


def write_curve(metrics: Path, curve: Path) -> None:
    """Write the steps and PSNR of all validations in ``metrics`` to ``curve``."""
    with metrics.open(encoding="utf-8", newline="") as file:
        rows = [(row["step"], row["val/psnr"]) for row in csv.DictReader(file)]
    with curve.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(
            [("step", "val_psnr"), *(row for row in rows if row[1])]
        )


def run_recipe(recipe: str, arguments: argparse.Namespace) -> int:
    """Train one recipe to its end, exporting on the way; return the training's exit status."""
    run, target = arguments.state / recipe, arguments.output / recipe
    training = train(recipe, run, arguments.overrides)

    def stop(signum: int, frame: FrameType | None) -> None:
        training.terminate()
        raise SystemExit(training.wait() or 128 + signum)

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, stop)
    status: int | None = None
    while status is None:
        with suppress(subprocess.TimeoutExpired):
            status = training.wait(timeout=60 * arguments.every)
        export(run, target)
    return status


def main() -> int:
    """Run the queue; return 1 if a recipe failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="+", help="recipes, and key=value for all of them")
    parser.add_argument("--state", type=Path, required=True, help="folder of the runs")
    own = ROOT / "experiments" / "zoo"
    says = "folder of the weights; left out: experiments/zoo, whose weights are replaced"
    parser.add_argument("--output", type=Path, default=own, help=says)
    parser.add_argument("--every", type=float, default=20, help="minutes between two exports")
    arguments = parser.parse_intermixed_args()
    arguments.overrides = [word for word in arguments.words if "=" in word]
    arguments.state = arguments.state.resolve()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipes = [word for word in arguments.words if "=" not in word]
    failed = [r for r in recipes if all(run_recipe(r, arguments) for _ in range(ATTEMPTS))]
    logger.info("done; failed: %s", ", ".join(failed) or "none")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
