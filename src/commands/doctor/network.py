"""The network between the processes: do they meet, add up right, how fast, whose clock is off."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from src.commands.doctor.finding import Finding, right, wrong
from src.core.types import PlainConfig

_ROUNDS = 5
MIB = 2**20


@contextmanager
def process_group(config: PlainConfig) -> Iterator[None]:
    """Join the other processes, as a training does; leave them at the end.

    Raises:
        RuntimeError: If they do not all come within ``patience_s``.
    """
    patience = timedelta(seconds=float(config["patience_s"]))
    backend = "gloo"
    if uses_cards(config):
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group(backend, init_method="env://", timeout=patience)
    try:
        yield
    finally:
        dist.destroy_process_group()


def uses_cards(config: PlainConfig) -> bool:
    """Say whether the processes talk through their GPUs."""
    accelerator = config["trainer"]["accelerator"]
    wanted = accelerator in {"gpu", "cuda", "auto"}
    cards = torch.cuda.device_count()
    return wanted and cards >= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def measure(config: PlainConfig) -> list[Finding]:
    """Add numbers up across all processes, through each kind of connection, and time it."""
    devices = ["cpu", *([f"cuda:{os.environ['LOCAL_RANK']}"] if uses_cards(config) else [])]
    return [_add_up(device, int(config["megabytes"])) for device in devices]


def _add_up(device: str, megabytes: int) -> Finding:
    world, rank = dist.get_world_size(), dist.get_rank()
    check = "network, NCCL" if device.startswith("cuda") else "network, gloo"
    seconds = []
    exact = True
    for _ in range(_ROUNDS):
        numbers = torch.full((megabytes * MIB // 4,), float(rank + 1), device=device)
        dist.barrier()
        begun = time.monotonic()
        dist.all_reduce(numbers)
        total = float(numbers[-1])  # waits for a GPU
        seconds.append(time.monotonic() - begun)
        exact = exact and total == world * (world + 1) / 2
    small = torch.zeros(1, device=device)
    begun = time.monotonic()
    for _ in range(_ROUNDS):
        dist.all_reduce(small)
        small.item()
    latency = (time.monotonic() - begun) / _ROUNDS
    # what a ring moves through each connection: 2 (n - 1) / n of the data
    rate = 2 * (world - 1) / world * megabytes / min(seconds[1:])
    numbers_of = torch.tensor([float(exact), rate, latency], dtype=torch.float64)
    dist.broadcast(numbers_of, src=0)  # one row for all
    exact, rate, latency = bool(numbers_of[0]), float(numbers_of[1]), float(numbers_of[2])
    if not exact:
        return wrong(check, "sums come out wrong", "other versions or hardware on some machine?")
    return right(check, f"{world} processes, {rate:.0f} MiB/s, {latency * 1e3:.2f} ms")


def check_clocks(names: Sequence[str], allowed_s: float) -> list[Finding]:
    """Compare every clock with the first process's; only that one returns findings.

    A process is asked for its time several times; the quickest answer is the most exact.
    """
    findings = []
    worst = 0.0
    for other in range(1, dist.get_world_size()):
        if dist.get_rank() == other:
            _answer()
        elif dist.get_rank() == 0:
            skew, doubt = _ask(other)
            worst = max(worst, abs(skew) + doubt)
            if abs(skew) - doubt > allowed_s:
                text = f"{names[other]} is {skew:+.2f} s off {names[0]}"
                findings.append(wrong("clocks", text, "start chrony or ntpd there"))
    if dist.get_rank() == 0 and not findings:
        findings.append(right("clocks", f"differ by less than {worst * 1e3:.1f} ms"))
    return findings


def _ask(other: int) -> tuple[float, float]:
    answers = []
    for _ in range(_ROUNDS):
        held = torch.zeros(1, dtype=torch.float64)
        begun = time.time()
        dist.send(held, dst=other)
        dist.recv(held, src=other)
        ended = time.time()
        answers.append(((ended - begun) / 2, float(held) - (begun + ended) / 2))
    doubt, skew = min(answers)
    return skew, doubt


def _answer() -> None:
    for _ in range(_ROUNDS):
        held = torch.zeros(1, dtype=torch.float64)
        dist.recv(held, src=0)
        held[0] = time.time()
        dist.send(held, dst=0)
