"""Two processes in all that may happen to a run: other starters, tampering, resume, interrupts."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from src.app.processes.group import free_port
from src.app.processes.job import parse
from src.core.paths import ROOT
from src.weights.checkpoint_file import read
from tests.support.compare import LAST, PREVIOUS, assert_same, rows
from tests.support.runs import TINY, command, process, train_tiny
from tools.sweep_matrix import STARTS, run_cell

pytestmark = [pytest.mark.ddp, pytest.mark.slow]
PATIENCE_S = 240
PAIR = "trainer=ddp_cpu"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of two steps by two processes."""
    folder = tmp_path_factory.mktemp("pair") / "run"
    train_tiny(folder, PAIR)
    return folder


EXTRAS = {
    "multirun joblib": "hydra_plugins.hydra_joblib_launcher",
    "submitit-local": "submitit",
    "Optuna": "optuna",
}


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("start", STARTS)
def test_every_way_of_starting_gives_what_one_process_gives(
    start: str, processes: int, tmp_path: Path
) -> None:
    if start in EXTRAS:
        pytest.importorskip(EXTRAS[start], reason="the extra 'sweep' is not installed")
    cell = run_cell(start, processes, tmp_path)
    assert cell.holds, cell


def _rank(rank: int, port: int, job: Path) -> subprocess.Popen[bytes]:
    placed: Mapping[str, object] = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "GROUP_RANK": 0,
        "WORLD_SIZE": 2,
        "LOCAL_WORLD_SIZE": 2,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "PYTHONPATH": ROOT,
        "OMP_NUM_THREADS": 1,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "src.app.processes.rank", str(job)],
        env={**os.environ, **{name: str(value) for name, value in placed.items()}},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_processes_with_different_settings_take_no_step(pair: Path, tmp_path: Path) -> None:
    frozen = (pair / "processes/job.yaml").read_text()
    ranks = []
    port = free_port()
    folder = tmp_path / "run"
    for rank, rate in enumerate(("0.0001", "0.9")):
        job = tmp_path / f"job_{rank}.yaml"
        job.write_text(frozen.replace(str(pair), str(folder)).replace("lr: 0.0001", f"lr: {rate}"))
        parse(job.read_text()).place.mkdir(parents=True, exist_ok=True)
        ranks.append(_rank(rank, port, job))
    for one in ranks:
        one.wait(timeout=PATIENCE_S)
        assert one.stdin is not None
        one.stdin.close()  # not before: a rank ends with its standard input
    left = [json.loads((folder / f"processes/rank_{rank}.json").read_text()) for rank in (0, 1)]
    assert [outcome["status"] for outcome in left] == ["refused", "refused"]
    for outcome in left:
        assert "do not have the same configuration and folder" in outcome["message"]
        assert "1 of 2 differ from process 0" in outcome["message"]
    assert not (folder / "checkpoints").exists()


@pytest.mark.parametrize("words", [(), ("trainer.accumulate_grad_batches=2", "data.workers=2")])
def test_five_steps_and_five_resumed_equal_ten_in_two_processes(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    every = ("trainer.val_check_interval=5", PAIR, *words)
    five, ten = tmp_path / "five", tmp_path / "ten"
    train_tiny(five, *every, steps=5)
    done = command("train", f"resume={five}", "trainer.max_steps=10")
    assert done.code == 0, done.err
    train_tiny(ten, *every, steps=10)
    assert_same(five, ten)
    assert rows(five) == rows(ten)


def test_what_two_processes_began_one_can_go_on_with(pair: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(pair, tmp_path / "run"))
    done = command("train", f"resume={run}", "trainer.max_steps=4", "trainer=cpu")
    assert done.code == 0, done.err
    assert read(run / LAST)["global_step"] == 4


def test_ctrl_c_stops_two_processes_after_the_same_step_and_saves(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    long = ("trainer.max_steps=5000", "trainer.val_check_interval=5000")
    running = process("train", *TINY, *long, PAIR, f"hydra.run.dir={folder}")
    end = time.monotonic() + PATIENCE_S
    while not (folder / PREVIOUS).is_file():  # a step has been saved
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130, err
    assert "Traceback" not in err
    saved = int(read(folder / LAST)["global_step"])
    assert f"Stopped after step {saved}; everything is saved" in err


def test_a_killed_process_ends_the_run_and_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    long = ("trainer.max_steps=5000", "trainer.val_check_interval=5000")
    running = process("train", *TINY, *long, PAIR, f"hydra.run.dir={folder}")
    end = time.monotonic() + PATIENCE_S
    while not (folder / PREVIOUS).is_file():  # a step has been saved
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.05)
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    os.kill(int(children[1]), signal.SIGKILL)
    _, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 1
    assert "Process 1 of 2 was killed by SIGKILL" in err
    assert read(folder / LAST)["global_step"] > 0


def test_srun_gives_one_run_folder(tmp_path: Path) -> None:
    """Stand in for srun by its variables; there is no SLURM on a test machine."""
    placed = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "1", "SLURM_NODEID": "0"}
    placed |= {"SLURM_STEP_NODELIST": "localhost", "MASTER_PORT": str(free_port())}
    placed |= {"OMP_NUM_THREADS": "1"}
    words = (*TINY, "trainer.max_steps=2", "trainer.val_check_interval=2")
    tasks = [
        subprocess.Popen(
            [sys.executable, "-m", "src.train", *words, f"paths.output_root={tmp_path}"],
            cwd=ROOT,
            env={**os.environ, **placed, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    said = [task.communicate(timeout=PATIENCE_S)[1] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], said
    assert len(list(tmp_path.rglob("config.yaml"))) == 1


def test_a_sweep_under_torchrun_is_refused(tmp_path: Path) -> None:
    start = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    done = subprocess.run(
        [*start, "-m", "src.train", "-m", "seed=0,1", f"paths.output_root={tmp_path}"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    assert "A sweep under torchrun" in done.stderr
    assert not list(tmp_path.iterdir())
