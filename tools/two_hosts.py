"""Two machines on one: network namespaces with an address each, joined by a virtual cable.

``python -m tools.two_hosts [case …]`` trains on both, cuts the cable or kills one, and
prints what came out. It needs Linux, root and ``ip`` (package iproute2).
"""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from src.core.paths import ROOT
from src.weights.checkpoint_file import read
from tests.support.compare import LAST, assert_same, rows
from tests.support.runs import TINY, command, train_tiny

PATIENCE_S = 10
"""``trainer.strategy.patience_s`` of these runs."""

LONG = ("trainer.max_steps=100000", "trainer.val_check_interval=100000")
_SLOWEST_S = 200
_IP = shutil.which("ip") or "/usr/sbin/ip"
_numbers = itertools.count()


def why_not() -> str:
    """Return why two hosts cannot be made here; empty where they can."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "network namespaces need Linux and root"
    if not Path(_IP).exists():
        return "the program ip (iproute2) is not installed"
    try:
        with TwoHosts():
            return ""
    except subprocess.CalledProcessError as error:
        return f"network namespaces cannot be made: {error.stderr.strip()}"


@dataclass(frozen=True)
class Ended:
    """How one host's process ended."""

    code: int  # exit status
    said: str  # both outputs
    seconds: float  # from what was done to the hosts until it ended


class TwoHosts:
    """Two hosts with a cable between them, gone at the end with all that runs on them."""

    def __init__(self) -> None:
        number = f"{os.getpid() % 100000}x{next(_numbers)}"
        self.names = [f"ex{number}{side}" for side in "ab"]
        self.cables = [f"v{number}{side}"[:15] for side in "ab"]
        self.addresses = ["10.231.7.1", "10.231.7.2"]
        self.running: list[tuple[subprocess.Popen[str], Path]] = []
        self._scratch = Path(tempfile.mkdtemp(prefix="hosts_"))

    def __enter__(self) -> Self:
        """Make the hosts."""
        try:
            for name in self.names:
                _ip("netns", "add", name)
            one, other = self.cables
            _ip("link", "add", one, "type", "veth", "peer", "name", other)
            for name, cable, address in zip(self.names, self.cables, self.addresses, strict=True):
                _ip("link", "set", cable, "netns", name)
                _ip("-n", name, "addr", "add", f"{address}/24", "dev", cable)
                _ip("-n", name, "link", "set", "lo", "up")
                _ip("-n", name, "link", "set", cable, "up")
        except subprocess.CalledProcessError:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill what runs on the hosts and remove them."""
        for host in (0, 1):
            self.kill(host)
        for process, _ in self.running:
            process.wait()
        for name in self.names:
            subprocess.run([_IP, "netns", "delete", name], capture_output=True, check=False)
        shutil.rmtree(self._scratch)

    def start(self, host: int, *words: str, **variables: object) -> None:
        """Start a Python program on a host."""
        output = self._scratch / f"{host}.{len(self.running)}.log"
        placed = {
            "GLOO_SOCKET_IFNAME": self.cables[host],
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            **{name: str(value) for name, value in variables.items()},
        }
        with output.open("wb") as file:
            process = subprocess.Popen(
                [_IP, "netns", "exec", self.names[host], sys.executable, *words],
                cwd=ROOT,
                env={**os.environ, **placed},
                stdout=file,
                stderr=file,
                text=True,
            )
        self.running.append((process, output))

    def start_both(self, starter: str, *words: str) -> None:
        """Start ``python -m <words>`` on both as one group, by torchrun or as srun does."""
        self.running.clear()
        for host in (0, 1):
            if starter == "torchrun":
                self.start(host, *self._torchrun(host), "-m", *words)
            else:
                self.start(host, "-m", *words, **self._srun(host))

    def _torchrun(self, host: int) -> tuple[str, ...]:
        return (
            *("-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"),
            *(f"--node-rank={host}", f"--master-addr={self.addresses[0]}"),
            "--master-port=29500",
        )

    def _srun(self, host: int) -> dict[str, object]:
        return {
            "SLURM_STEP_NUM_TASKS": 2,
            "SLURM_STEP_NUM_NODES": 2,
            "SLURM_PROCID": host,
            "SLURM_NODEID": host,
            "SLURM_LOCALID": 0,
            "MASTER_ADDR": self.addresses[0],
            "MASTER_PORT": 29501,
        }

    def cut(self, host: int = 1) -> None:
        """Take the cable out of a host."""
        _ip("-n", self.names[host], "link", "set", self.cables[host], "down")

    def kill(self, host: int) -> None:
        """Kill every process on a host at once, as a power failure does."""
        listed = subprocess.run(
            [_IP, "netns", "pids", self.names[host]], capture_output=True, text=True, check=False
        )
        for pid in listed.stdout.split():
            os.kill(int(pid), signal.SIGKILL)

    def ended(self, since: float) -> list[Ended]:
        """Wait until both programs have ended.

        Raises:
            subprocess.TimeoutExpired: If one does not.
        """
        left = dict(enumerate(self.running))
        ended: dict[int, Ended] = {}
        while left:
            for host, (process, output) in list(left.items()):
                if process.poll() is not None:
                    took = time.monotonic() - since
                    ended[host] = Ended(int(process.returncode), output.read_text(), took)
                    del left[host]
            if time.monotonic() - since > _SLOWEST_S:
                raise subprocess.TimeoutExpired("both hosts", _SLOWEST_S)
            time.sleep(0.05)
        return [ended[host] for host in (0, 1)]


def _ip(*words: str) -> None:
    subprocess.run([_IP, *words], check=True, capture_output=True, text=True)


def training(run: Path, *words: str) -> tuple[str, ...]:
    """Return the command of a small training on two machines, one process each."""
    group = (
        "trainer=ddp_cpu",
        "trainer.devices=1",
        "trainer.num_nodes=2",
        f"trainer.strategy.patience_s={PATIENCE_S}",
    )
    tiny = (word for word in TINY if word != "trainer=cpu")
    return ("src.train", *tiny, *group, f"hydra.run.dir={run}", *words)


def train_whole(starter: str, folder: Path, steps: int = 4) -> list[Ended]:
    """Train on both hosts to the end; the weights must be those of two processes on one."""
    length = (f"trainer.max_steps={steps}", f"trainer.val_check_interval={steps}")
    with TwoHosts() as hosts:
        begun = time.monotonic()
        hosts.start_both(starter, *training(folder / "run", *length))
        ended = hosts.ended(begun)
    assert [one.code for one in ended] == [0, 0], ended
    train_tiny(folder / "one_host", "trainer=ddp_cpu", steps=steps)
    assert_same(folder / "run", folder / "one_host")
    assert rows(folder / "run") == rows(folder / "one_host")
    return ended


def lose(starter: str, folder: Path, happen: Callable[[TwoHosts], None]) -> tuple[list[Ended], int]:
    """Train on both hosts, let something happen to one; return how they ended and the step saved.

    Then one machine goes on from the checkpoint for three steps, and must end with what two
    processes that nothing stopped end with, bit by bit.
    """
    run = folder / "run"
    with TwoHosts() as hosts:
        hosts.start_both(starter, *training(run, *LONG))
        _wait_for_step(hosts, run, 3)
        happen(hosts)
        ended = hosts.ended(time.monotonic())
    saved = int(read(run / LAST)["global_step"])
    last = saved + 3
    length = (f"trainer.max_steps={last}", f"trainer.val_check_interval={last}")
    here = ("trainer=ddp_cpu", "trainer.num_nodes=1", "trainer.devices=2")
    went_on = command("train", f"resume={run}", *here, *length)
    assert went_on.code == 0, went_on.err
    train_tiny(folder / "never_stopped", "trainer=ddp_cpu", steps=last)
    assert_same(run, folder / "never_stopped")
    return ended, saved


def _wait_for_step(hosts: TwoHosts, run: Path, step: int) -> None:
    end = time.monotonic() + _SLOWEST_S
    while not (run / LAST).is_file() or read(run / LAST)["global_step"] < step:
        for process, output in hosts.running:
            assert process.poll() is None, output.read_text()
        assert time.monotonic() < end, [output.read_text() for _, output in hosts.running]
        time.sleep(0.05)


def _diagnose(folder: Path, *, cut: bool) -> list[Ended]:
    """Run ``src.doctor`` on both hosts."""
    with TwoHosts() as hosts:
        if cut:
            hosts.cut()
        begun = time.monotonic()
        hosts.start_both("srun", *diagnosis(folder))
        return hosts.ended(begun)


def diagnosis(folder: Path) -> tuple[str, ...]:
    """Return the command that checks two machines with a process each."""
    return (
        *("src.doctor", "trainer=ddp_cpu", "trainer.devices=1", "trainer.num_nodes=2"),
        *("free_gib=0.1", "megabytes=8", f"patience_s={PATIENCE_S}"),
        f"paths.output_root={folder}",
    )


CASES: dict[str, Callable[[Path], tuple[list[Ended], int]]] = {
    "whole, torchrun": lambda folder: (train_whole("torchrun", folder), 4),
    "whole, srun": lambda folder: (train_whole("srun", folder), 4),
    "cable cut, srun": lambda folder: lose("srun", folder, TwoHosts.cut),
    "cable cut, torchrun": lambda folder: lose("torchrun", folder, TwoHosts.cut),
    "second host killed, srun": lambda folder: lose("srun", folder, lambda h: h.kill(1)),
    "first host killed, srun": lambda folder: lose("srun", folder, lambda h: h.kill(0)),
    "doctor": lambda folder: (_diagnose(folder, cut=False), 0),
    "doctor, no cable": lambda folder: (_diagnose(folder, cut=True), 0),
}


def outcomes(names: list[str]) -> Iterator[tuple[str, list[Ended], int]]:
    """Yield each case with how both hosts ended, and the step that was saved."""
    for name in names:
        with tempfile.TemporaryDirectory() as scratch:
            ended, saved = CASES[name](Path(scratch))
            yield name, ended, saved


def main() -> None:
    """Print the outcomes."""
    reason = why_not()
    if reason:
        sys.exit(reason)
    for name, ended, saved in outcomes(sys.argv[1:] or list(CASES)):
        sys.stdout.write(f"{name}: saved and resumed at step {saved}\n")
        for host, one in enumerate(ended):
            tail = "\n    ".join(one.said.strip().splitlines()[-12:])
            sys.stdout.write(f"  host {host}: status {one.code}, {one.seconds:.1f} s\n    {tail}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
