"""A sweep on Ray, for real: jobs side by side on this machine, and one whose worker is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from src.core.paths import ROOT
from src.weights.checkpoint_file import read
from tests.support.compare import LAST, assert_same, rows
from tests.support.runs import TINY, train_tiny
from tools.requeue import outcome_of

pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.ddp]
PATIENCE_S = 250


def _sweep(folder: Path, *words: str) -> subprocess.Popen[str]:
    launcher = ("hydra/launcher=ray", f"hydra.sweep.dir={folder}")
    return subprocess.Popen(
        [sys.executable, "-m", "src.train", "-m", *TINY, *launcher, *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_jobs_on_ray_end_as_jobs_started_plainly(tmp_path: Path) -> None:
    length = ("trainer.max_steps=2", "trainer.val_check_interval=2")
    sweep = _sweep(tmp_path / "sweep", *length, "seed=0,1")
    said, _ = sweep.communicate(timeout=PATIENCE_S)
    assert sweep.returncode == 0, said
    for seed in (0, 1):
        job = tmp_path / f"sweep/{seed}"
        assert yaml.safe_load((job / "config.yaml").read_text())["seed"] == seed
        train_tiny(tmp_path / f"plain_{seed}", f"seed={seed}")
        assert_same(job, tmp_path / f"plain_{seed}")


def test_a_job_whose_worker_is_killed_is_started_again_and_goes_on(tmp_path: Path) -> None:
    steps = 300
    length = (f"trainer.max_steps={steps}", f"trainer.val_check_interval={steps}")
    sweep = _sweep(tmp_path / "sweep", *length, "seed=0")
    job = tmp_path / "sweep/0"
    end = time.monotonic() + PATIENCE_S
    while not (job / LAST).is_file() or read(job / LAST)["global_step"] < 3:
        assert sweep.poll() is None, sweep.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.05)
    (worker,) = _workers_of(sweep.pid)
    os.kill(worker, signal.SIGKILL)
    said, _ = sweep.communicate(timeout=PATIENCE_S)
    assert sweep.returncode == 0, said
    out = outcome_of(job, said)
    assert out.starts == 2
    assert 0 < out.resumed_from[0] < steps
    train_tiny(tmp_path / "plain", *length, steps=steps)
    assert_same(job, tmp_path / "plain")
    assert rows(job) == rows(tmp_path / "plain")


def _workers_of(starter: int) -> list[int]:
    """Return the processes below ``starter`` in which Ray runs a job at this moment."""
    below = psutil.Process(starter).children(recursive=True)
    titles = {process.pid: " ".join(process.cmdline()) for process in below}
    return [pid for pid, title in titles.items() if title.startswith("ray::") and "run" in title]
