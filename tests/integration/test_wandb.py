"""W&B beside the CSV file: a real offline run, no key, no network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.core.paths import ROOT

TINY = (
    *("model=panet_tiny", "model.blocks=2", "model.channels=8", "data=synthetic", "data.workers=0"),
    *("data.patch_size=16", "trainer=cpu", "trainer.max_steps=2", "trainer.val_check_interval=2"),
)


@pytest.mark.slow
def test_without_a_key_the_run_is_kept_offline_once_a_job(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    environment |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "none")}
    words = [*TINY, "logger=wandb", f"paths.output_root={tmp_path / 'out'}", "seed=0,1"]
    done = subprocess.run(
        [sys.executable, "-m", "src.train", "-m", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "offline" in done.stderr + done.stdout
    jobs = sorted((tmp_path / "out" / "multirun").glob("*/*"))
    assert len([job for job in jobs if job.is_dir()]) == 2
    for job in (job for job in jobs if job.is_dir()):
        runs = list((job / "wandb").glob("offline-run-*/run-*.wandb"))
        assert len(runs) == 1, job  # one run a job, closed before the next began
        assert (job / "metrics.csv").is_file()
        assert list((runs[0].parent / "files" / "media" / "images").rglob("*.png"))
