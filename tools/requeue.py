"""Jobs that lose their machine: real starts under submitit and under the sbatch template.

``python -m tools.requeue`` runs them and prints what came out.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from src.core.paths import ROOT
from src.weights.checkpoint_file import read
from tests.support.compare import LAST, assert_same, rows
from tests.support.runs import TINY, train_tiny

TEMPLATE = ROOT / "docs/how-to/train.sbatch"
PATIENCE_S = 280
SLURM = ROOT / "tests/support/fake_slurm"
"""``srun`` and ``scontrol`` for a machine without SLURM; see there what they do."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job that lost its machine."""

    starts: int  # how often it was started
    resumed_from: list[int]  # steps at which it went on
    steps: int  # at which it ended
    said: str  # by the last command


def outcome_of(run: Path, said: str) -> Outcome:
    """Read from a run folder how often the run was stopped and went on."""
    file = run / "resumed.jsonl"
    lines = file.read_text().splitlines() if file.is_file() else []
    resumed = [int(json.loads(line)["step"]) for line in lines]
    return Outcome(1 + len(resumed), resumed, int(read(run / LAST)["global_step"]), said)


def under_submitit(folder: Path, *words: str, steps: int) -> Outcome:
    """Run a sweep of one job with submitit's local executor, whose time is a minute.

    submitit sends its signal half a minute before the end, and starts a job six times at most.
    """
    launcher = (
        "hydra/launcher=submitit_local",
        "hydra.launcher.timeout_min=1",
        "+hydra.launcher.max_num_timeout=6",
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "src.train", "-m", *TINY, *_length(steps), *words, *launcher),
            *(f"hydra.sweep.dir={folder}", "seed=0"),
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    return outcome_of(folder / "0", done.stderr)


def under_sbatch(job: str, scratch: Path, signum: int, *words: str) -> tuple[int, str]:
    """Start the batch script once, send its tasks ``signum`` after some steps; return how it ended.

    Args:
        job: Number of the SLURM job, which names the run folder.
        scratch: Where ``scontrol`` notes what it was asked for.
        signum: Sent once a new checkpoint is there; 0 for none.
        words: Overrides of the training.
    """
    run = ROOT / "outputs/slurm" / job
    before = _step(run)
    environment = {
        **os.environ,
        "PATH": f"{SLURM}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "TRAINER": "ddp_cpu",
        "SLURM_JOB_ID": job,
        "FAKE_SLURM": str(scratch),
        "OMP_NUM_THREADS": "1",
    }
    started = subprocess.Popen(
        ["/bin/bash", str(TEMPLATE), *words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if signum:
        end = time.monotonic() + PATIENCE_S
        while _step(run) < before + 3 and started.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        os.kill(int((scratch / "srun.pid").read_text()), signum)
    said, _ = started.communicate(timeout=PATIENCE_S)
    return started.returncode, said


def _step(run: Path) -> int:
    return int(read(run / LAST)["global_step"]) if (run / LAST).is_file() else 0


def _length(steps: int) -> tuple[str, ...]:
    return f"trainer.max_steps={steps}", f"trainer.val_check_interval={steps}"


def assert_as_if_never_stopped(run: Path, other: Path, *words: str, steps: int) -> None:
    """Hold the run, bit by bit, against one into ``other`` that nothing stops."""
    train_tiny(other, *words, steps=steps)
    assert_same(run, other)
    assert rows(run) == rows(other)


def outcomes() -> Iterator[tuple[str, Outcome]]:
    """Yield each case with what came out; each is compared with a run that nothing stops."""
    for words in ((), ("trainer=ddp_cpu",)):
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch)
            out = under_submitit(place / "sweep", *words, steps=STEPS)
            assert_as_if_never_stopped(place / "sweep/0", place / "other", *words, steps=STEPS)
            yield f"submitit-local, {len(words) + 1} processes", out


STEPS = 1500  # above what is done in the half minute before the first signal


def main() -> None:
    """Print the outcomes."""
    for name, out in outcomes():
        sys.stdout.write(
            f"{name}: {out.starts} starts, went on at {out.resumed_from}, ended at {out.steps}; "
            "weights, optimizer and rows as of a run that nothing stopped\n"
        )


if __name__ == "__main__":
    main()
