"""Every way of starting a job × 1 and 2 processes, held against a run in one process.

``python -m tools.sweep_matrix [rows …]`` runs the real commands and prints the table.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from torch import Tensor

from src.core.paths import ROOT
from src.weights.checkpoint_file import read
from tests.support.compare import LAST
from tests.support.runs import TINY, train_tiny

STEPS = 3
TOLERANCE = 1e-6
_LENGTH = (f"trainer.max_steps={STEPS}", f"trainer.val_check_interval={STEPS}")
_DOUBLE = "trainer.precision=64-true"
"""In single precision the order of a sum alone moves scores by some 1e-6 dB, here and there."""
_RATES = "optimizer.lr=1e-3,3e-4"
_MODULE = ("-m", "src.train")
STARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "single": (_MODULE, ()),
    "multirun basic": (_MODULE, ("-m", _RATES)),
    "multirun joblib": (
        _MODULE,
        ("-m", _RATES, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    ),
    "Optuna": (
        _MODULE,
        (
            "-m",
            "hydra/sweeper=optuna",
            "hydra.sweeper.n_trials=2",
            "optimizer.lr=tag(log,interval(1e-4,1e-3))",
        ),
    ),
    "submitit-local": (_MODULE, ("-m", _RATES, "hydra/launcher=submitit_local")),
    "torchrun": (("-m", "torch.distributed.run", "--standalone"), ()),
}


@dataclass(frozen=True)
class Cell:
    """What one way of starting with one number of processes came to."""

    start: str  # key of ``STARTS``
    processes: int  # of each job
    jobs: int = 0  # run folders that hold a config
    agreed: bool = False  # whether all processes of each job have left the same hash
    weights: float = float("inf")  # largest difference of a final weight to the run in one process
    score: float = float("inf")  # largest difference of the score that the run reports, in dB
    error: str = ""  # what the command said where it failed

    @property
    def holds(self) -> bool:
        """Whether the promise holds."""
        expected = 1 if self.start in {"single", "torchrun"} else 2
        equal = self.weights <= TOLERANCE and self.score <= TOLERANCE
        return not self.error and self.jobs == expected and self.agreed and equal


def run_cell(start: str, processes: int, folder: Path) -> Cell:
    """Run one way of starting in ``folder`` and compare what it leaves."""
    program, words = STARTS[start]
    if start == "torchrun":
        program = (*program, f"--nproc-per-node={processes}", *_MODULE)
    trainer = "trainer=ddp_cpu" if processes > 1 else "trainer=cpu"
    words_for_all = (*TINY, *_LENGTH, _DOUBLE)
    command = [sys.executable, *program, *words_for_all, trainer, f"paths.output_root={folder}"]
    done = subprocess.run(
        [*command, *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return Cell(start, processes, error=done.stderr[-2000:])
    runs = sorted(path.parent for path in folder.rglob("config.yaml"))
    differences = [_differences(run) for run in runs]
    return Cell(
        start,
        processes,
        jobs=len(runs),
        agreed=all(_agree(run, processes) for run in runs),
        weights=max(weights for weights, _ in differences),
        score=max(score for _, score in differences),
    )


def _agree(run: Path, processes: int) -> bool:
    left = [json.loads(file.read_text()) for file in (run / "processes").glob("rank_*.json")]
    if processes == 1 and not left:  # a single process has nobody to agree with
        return True
    return len(left) == processes and len({outcome["digest"] for outcome in left}) == 1


def _differences(run: Path) -> tuple[float, float]:
    rate = float(yaml.safe_load((run / "config.yaml").read_text())["optimizer"]["lr"])
    reference = _reference(rate)
    weights, expected = (_weights(folder) for folder in (run, reference))
    largest = max(float((weights[name] - expected[name]).abs().max()) for name in expected)
    return largest, abs(_score(run) - _score(reference))


@cache
def _reference(rate: float) -> Path:
    """Train in one process, started plainly, with this learning rate."""
    folder = Path(tempfile.mkdtemp(prefix="reference_")) / "run"
    train_tiny(folder, f"optimizer.lr={rate!r}", _DOUBLE, steps=STEPS)
    return folder


def _weights(run: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = read(run / LAST)["state_dict"]
    return state


def _score(run: Path) -> float:
    callbacks = read(run / LAST)["callbacks"]
    best = next(state for name, state in callbacks.items() if name.startswith("BestCheckpoint"))
    return float(best["best_model_score"])


def matrix(starts: Sequence[str] = tuple(STARTS)) -> Iterator[Cell]:
    """Yield every cell."""
    for start in starts:
        for processes in (1, 2):
            with tempfile.TemporaryDirectory() as scratch:
                yield run_cell(start, processes, Path(scratch))


def main() -> None:
    """Print the table."""
    _say("started by", "processes", "run folders", "hashes agree", "weights differ by", "score by")
    _say(*["---"] * 6)
    for cell in matrix(sys.argv[1:] or tuple(STARTS)):
        if cell.error:
            _say(cell.start, cell.processes, "failed", cell.error, "", "")
            continue
        agreed = "yes" if cell.agreed else "no"
        equal = f"{cell.weights:.1e}", f"{cell.score:.1e} dB"
        _say(cell.start, cell.processes, cell.jobs, agreed, *equal)


def _say(*cells: object) -> None:
    sys.stdout.write(f"| {' | '.join(map(str, cells))} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
