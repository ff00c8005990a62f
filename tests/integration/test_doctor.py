"""The check of machines, run for real: alone, in two processes of each starter, and failing."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from src.core.paths import ROOT
from tests.support.runs import command
from tools.requeue import SLURM

QUICK = ("free_gib=0.01", "megabytes=1", "patience_s=20")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


def _started(
    folder: Path, *program: str, words: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the check as a process, with ``python`` or another program before it."""
    placed = {"OMP_NUM_THREADS": "1", "FAKE_SLURM": str(folder), "PYTHONPATH": str(ROOT)}
    roots = (f"paths.output_root={folder / 'out'}", f"paths.cache_dir={folder / 'cache'}")
    return subprocess.run(
        [*program, "-m", "src.doctor", *QUICK, *roots, *words],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200", **placed, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


@pytest.mark.long
def test_one_process_on_a_sound_machine_has_nothing_wrong(tmp_path: Path) -> None:
    done = command("doctor", *QUICK, "trainer=cpu", f"paths.output_root={tmp_path}")
    assert done.code == 0, done.err
    assert "WRONG" not in done.out
    assert f"{tmp_path}:writable" in "".join(done.out.split())  # however the path is wrapped
    assert not list(tmp_path.iterdir())  # it leaves nothing


def test_a_folder_that_cannot_be_written_is_wrong_and_says_how_to_mend_it() -> None:
    done = command("doctor", *QUICK, "trainer=cpu", "paths.output_root=/proc/nowhere")
    assert done.code == 1
    said = " ".join(done.out.split())
    assert "WRONG paths.output_root /proc/nowhere" in said
    assert "paths.output_root=<a folder that can be written>" in said
    assert "1 wrong; the table says how to mend each" in done.err


def test_at_80_columns_what_to_do_is_in_one_line_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = command("doctor", *QUICK, "trainer=cpu", "paths.output_root='/proc/[/red]nowhere'")
    advice = "paths.output_root=<a folder that can be written>, or change its owner or mount"
    assert f"  WRONG paths.output_root: {advice}" in done.out.splitlines()
    assert "/proc/[/red]nowhere" in done.out


@pytest.mark.long
def test_too_little_room_is_wrong(tmp_path: Path) -> None:
    words = ("trainer=cpu", f"paths.output_root={tmp_path}", "free_gib=1e9")
    done = command("doctor", *QUICK, *words)
    assert done.code == 1
    assert "make room, or free_gib=" in " ".join(done.out.split())


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there_is_wrong(tmp_path: Path) -> None:
    done = command("doctor", *QUICK, "trainer=gpu", f"paths.output_root={tmp_path}")
    assert done.code == 1
    said = " ".join(done.out.split())
    assert "WRONG GPU CUDA sees 0, 1 wanted" in said
    assert "TORCH=cu126" in said


@pytest.mark.slow
@pytest.mark.ddp
def test_two_processes_of_our_own_meet_and_measure_the_network(tmp_path: Path) -> None:
    done = _started(tmp_path, sys.executable, words=("trainer=ddp_cpu",))
    _assert_two_met(done)


@pytest.mark.slow
@pytest.mark.ddp
def test_two_processes_of_torchrun_meet(tmp_path: Path) -> None:
    done = _started(tmp_path, sys.executable, *TORCHRUN, words=("trainer=cpu",))
    _assert_two_met(done)
    assert "torchrun: 2 processes, 2 on each of 1 machines" in done.stdout


@pytest.mark.slow
@pytest.mark.ddp
def test_two_tasks_of_srun_meet(tmp_path: Path) -> None:
    srun = str(SLURM / "srun")
    done = _started(tmp_path, srun, sys.executable, words=("trainer=ddp_cpu",))
    _assert_two_met(done)
    assert "SLURM: 2 processes, 2 on each of 1 machines" in done.stdout


def _assert_two_met(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("network, gloo") == 1  # one table, of the first process
    said = " ".join(done.stdout.split())
    assert "2 processes," in said
    assert "MiB/s" in said
    assert "seen by all, locks hold" in said
    assert "clocks" in said
    assert "WRONG" not in said


@pytest.mark.slow
@pytest.mark.ddp
def test_a_port_in_use_is_named_within_a_bounded_time(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("0.0.0.0", 0))  # noqa: S104  all addresses, as another job's store does
        taken.listen()
        port = str(taken.getsockname()[1])
        begun = time.monotonic()
        srun = str(SLURM / "srun")
        words = ("trainer=ddp_cpu",)
        done = _started(tmp_path, srun, sys.executable, words=words, MASTER_PORT=port)
    assert done.returncode == 1
    assert time.monotonic() - begun < 120
    said = " ".join(done.stdout.split())
    assert f"port {port}, is in use" in said
    assert "MASTER_PORT=<another>" in said


@pytest.mark.slow
@pytest.mark.ddp
def test_a_process_that_stops_answering_is_noticed_within_the_patience(tmp_path: Path) -> None:
    """One of two processes is frozen, as a machine is whose disk hangs."""
    roots = (f"paths.output_root={tmp_path / 'out'}", f"paths.cache_dir={tmp_path / 'cache'}")
    words = (*QUICK[:-1], "patience_s=10", "megabytes=512", "trainer=ddp_cpu", *roots)
    started = subprocess.Popen(
        [sys.executable, "-m", "src.doctor", *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    end = time.monotonic() + 100
    children: list[str] = []
    while len(children) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
        listed = Path(f"/proc/{started.pid}/task/{started.pid}/children")
        children = listed.read_text().split()
    os.kill(int(children[1]), signal.SIGSTOP)
    said, _ = started.communicate(timeout=100)
    assert started.returncode == 1, said
    assert "WRONG" in said
    assert "may they reach each other" in " ".join(said.split())
