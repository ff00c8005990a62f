"""W&B runs of real processes: sweeps, signals, two ranks, a server that is away."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from tests.support.runs import TINY, process
from tools.wandb_readback import find_run_files, read_closed

KEY = "0123456789abcdef" * 2 + "01234567"
LOGGED = ("logger=wandb", "logger.wandb.mode=offline")


@pytest.fixture
def nobody(tmp_path: Path) -> Iterator[None]:
    """An account without a W&B key."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    own = {"HOME": str(tmp_path), "NETRC": str(tmp_path / "none")}
    with mock.patch.dict(os.environ, {**kept, **own}, clear=True):
        yield


@pytest.mark.long
@pytest.mark.usefixtures("nobody")
def test_without_a_key_each_job_of_a_sweep_is_one_offline_run(tmp_path: Path) -> None:
    words = ("-m", *TINY, "logger=wandb", "trainer.max_steps=1", "seed=0,1")
    started = process("train", *words, f"paths.output_root={tmp_path / 'out'}")
    out, err = started.communicate(timeout=280)
    assert started.returncode == 0, err
    assert out.count("No W&B key on this machine") == 2
    (sweep,) = (tmp_path / "out/multirun").iterdir()
    runs = [read_closed(path) for path in sorted(sweep.glob("*/wandb/*run-*/run-*.wandb"))]
    assert [held.config["seed"] for held in runs] == [0, 1]
    assert {held.run["group"] for held in runs} == {sweep.name}
    assert len({held.run["id"] for held in runs}) == 2
    assert [held.exits for held in runs] == [[0], [0]]


@pytest.mark.slow
def test_a_server_that_does_not_answer_makes_the_run_offline(tmp_path: Path) -> None:
    away = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    words = (*TINY, "logger=wandb", "logger.wandb.timeout=1.0", "trainer.max_steps=1")
    with mock.patch.dict(os.environ, away):
        started = process("train", *words, f"hydra.run.dir={tmp_path / 'run'}")
        out, err = started.communicate(timeout=280)
    assert started.returncode == 0, err
    assert "The W&B server did not answer" in out
    offline = [path for path in find_run_files(tmp_path / "run") if "offline" in str(path)]
    assert [read_closed(path).exits for path in offline] == [[0]]
    for path in (path for path in (tmp_path / "run").rglob("*") if path.is_file()):
        assert KEY.encode() not in path.read_bytes(), path


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "exit_code"), [(signal.SIGINT, 0), (signal.SIGTERM, 0)])
def test_a_signal_closes_the_run(sent: signal.Signals, exit_code: int, tmp_path: Path) -> None:
    words = (*TINY, *LOGGED, "trainer.max_steps=100000", "trainer.val_check_interval=100000")
    started = process("train", *words, f"hydra.run.dir={tmp_path / 'run'}")
    deadline = time.monotonic() + 200
    while not list(tmp_path.rglob("previous.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.1)
    started.send_signal(sent)
    _, err = started.communicate(timeout=60)
    (path,) = find_run_files(tmp_path / "run")
    held = read_closed(path)
    assert held.exits == [exit_code], err
    assert held.scalars()["train/loss"]


@pytest.mark.slow
@pytest.mark.ddp
def test_of_two_processes_only_the_first_logs(tmp_path: Path) -> None:
    words = (
        *TINY,
        *LOGGED,
        "trainer=ddp_cpu",
        "trainer.max_steps=2",
        "trainer.log_every_n_steps=1",
    )
    started = process("train", *words, f"hydra.run.dir={tmp_path / 'run'}")
    _, err = started.communicate(timeout=280)
    assert started.returncode == 0, err
    (path,) = find_run_files(tmp_path / "run")
    held = read_closed(path)
    assert held.exits == [0]
    assert held.config["attention"] == "pyramid"
    assert [row["trainer/global_step"] for row in held.rows if "train/loss" in row] == [0, 1]
