"""What the processes of the check find out together: network, clocks, shared folder, same code."""

import fcntl
import os
import socket
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from src.app.processes.job import Job
from src.app.processes.place import Place
from src.commands.doctor.finding import Finding, merged, right, show, wrong
from src.commands.doctor.machine import MIB, card_id, check_machine, facts, locks
from src.core.types import PlainConfig

_ROUNDS = 5
_PATIENCE_S = 10.0  # a network disk may show a new file only after some seconds
_SHOWN, _LOCKED, _ALONE = "shown", "locked", "alone"


def examine(job: Job) -> float:
    """Do one process's part; the first prints the table and returns how much is wrong."""
    rank, world = _number("RANK", 0), _number("WORLD_SIZE", 1)
    place = Place("this", rank, world, _number("LOCAL_WORLD_SIZE", 1))
    early = [Finding(**finding) for finding in job.notes["findings"] if rank == 0]
    own = [*early, *check_machine(job.config, place, _number("LOCAL_RANK", 0))]
    if world == 1:
        return show(own)
    try:
        return _together(own, job.config, Path(job.folder))
    except RuntimeError as error:  # torch's, with what it waited for
        advice = (
            "are all machines up, and may they reach each other on any port? several networks: "
            "GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME=<the one to use>; patience_s=…"
        )
        reason = str(error).strip().splitlines()[0]
        return show([*own, wrong("network", f"{_name(rank)}: {reason}", advice)])
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _together(own: list[Finding], config: PlainConfig, folder: Path) -> float:
    """Join the other processes, as a training does, and compare; all take each step."""
    local_rank = _number("LOCAL_RANK", 0)
    cards = config["trainer"]["accelerator"] in {"gpu", "cuda", "auto"} and (
        torch.cuda.device_count() >= _number("LOCAL_WORLD_SIZE", 1)
    )
    if cards:
        torch.cuda.set_device(local_rank)
    patience = timedelta(seconds=float(config["patience_s"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if cards else "gloo", timeout=patience)
    names = _gathered(_name(dist.get_rank()))
    same = check_same(_gathered(facts()), names)
    one_each = check_cards(_gathered(card_id(local_rank)), names)
    own += _check_shared(folder)
    for device in ["cpu", *([f"cuda:{local_rank}"] if cards else [])]:
        own.append(_add_up(device, int(config["megabytes"])))
    clocks = _check_clocks(names, float(config["skew_s"]))
    everything = _gathered(own)
    if dist.get_rank() != 0:
        return 0.0
    return show([*merged(everything, names), *clocks, *same, *one_each])


def check_same(all_facts: Sequence[Mapping[str, str]], names: Sequence[str]) -> list[Finding]:
    """Compare the ``facts`` of the processes called ``names`` with the first one's."""
    first, findings = all_facts[0], []
    for key, value in first.items():
        others = ", ".join(
            f"{name} has {other.get(key)}"
            for name, other in zip(names, all_facts, strict=True)
            if other.get(key) != value
        )
        if others:
            is_code = key in {"commit", "source"}
            advice = "the same checkout" if is_code else "the same environment (constraints.txt)"
            text = f"{names[0]} has {value}, {others}"
            findings.append(wrong(f"same {key}", text, f"{advice} on all machines"))
    same = ", ".join(f"{key} {value}" for key, value in [*first.items()][:4])
    return findings or [right("same code", same)]


def check_cards(cards: Sequence[str], names: Sequence[str]) -> list[Finding]:
    """Refuse two processes that work on one GPU."""
    twice = [i for i, card in enumerate(cards) if card and card in cards[:i]]
    if not twice:
        return []
    named = ", ".join(f"{names[i]} and {names[cards.index(cards[i])]}" for i in twice)
    return [wrong("GPU", f"{named} have the same one", "one task a GPU; leave --gpu-bind alone")]


def _check_shared(folder: Path) -> list[Finding]:
    """See whether all processes have the same folder, with locks that work between them."""
    check, first = "shared folder", dist.get_rank() == 0
    if first:
        for name in (_LOCKED, _SHOWN):
            (folder / name).touch()
    dist.barrier()
    seconds = _seconds_until(folder / _SHOWN)
    alone = sum(_gathered(_makes_alone(folder))) == 1
    with ExitStack() as stack:
        if first:
            fcntl.flock(stack.enter_context((folder / _LOCKED).open("a")), fcntl.LOCK_EX)
        dist.barrier()
        locked = first or not ((folder / _LOCKED).exists() and locks(folder / _LOCKED))
        dist.barrier()
    if seconds is None:
        advice = "paths.output_root=<a folder on a disk that all machines share>"
        return [wrong(check, f"{folder.parent} is not the first process's", advice)]
    slow = wrong(check, f"a new file shows after {seconds:.1f} s", "mount: noac")
    findings = [slow] if seconds > 1 else []
    if not (alone and locked):
        what = "file locks do not hold" if alone else "two processes can make the same file"
        text = f"{folder.parent}: {what} between machines"
        findings.append(wrong(check, text, "NFS 4 without nolock, Lustre with -o flock"))
    return findings or [right(check, f"{folder.parent}: seen by all, locks hold")]


def _makes_alone(folder: Path) -> bool:
    """Say whether this process makes the file that only one can make."""
    try:
        (folder / _ALONE).touch(exist_ok=False)
    except OSError:
        return False
    return True


def _seconds_until(path: Path) -> float | None:
    """Wait until ``path`` is there; return the seconds, None where it does not come."""
    begun = time.monotonic()
    while not path.exists():
        if time.monotonic() - begun > _PATIENCE_S:
            return None
        os.scandir(path.parent).close() if path.parent.is_dir() else None  # refreshes NFS's cache
        time.sleep(0.1)
    return time.monotonic() - begun


def _add_up(device: str, megabytes: int) -> Finding:
    """Add numbers up across all processes, through one kind of connection, and time it."""
    world, seconds, exact = dist.get_world_size(), [], True
    for count in [megabytes * MIB // 4] * _ROUNDS + [1] * _ROUNDS:
        numbers = torch.full((count,), float(dist.get_rank() + 1), device=device)
        dist.barrier()
        begun = time.monotonic()
        dist.all_reduce(numbers)
        exact = float(numbers[-1]) == world * (world + 1) / 2 and exact  # waits for a GPU
        seconds.append(time.monotonic() - begun)
    # what a ring moves through each connection: 2 (n - 1) / n of the data
    rate = 2 * (world - 1) / world * megabytes / min(seconds[1:_ROUNDS])
    measured = (exact, rate, statistics.median(seconds[_ROUNDS:]))
    exact, rate, latency = _gathered(measured)[0]  # one row for all
    check = "network, NCCL" if device.startswith("cuda") else "network, gloo"
    if not exact:
        return wrong(check, "sums come out wrong", "other versions or hardware on some machine?")
    return right(check, f"{world} processes, {rate:.0f} MiB/s, {latency * 1e3:.2f} ms")


def _check_clocks(names: Sequence[str], allowed_s: float) -> list[Finding]:
    """Compare every clock with the first process's, as far as one exchange lets one know it."""
    rounds = []
    for _ in range(_ROUNDS):
        dist.barrier()
        begun = time.time()
        times = _gathered(begun)
        rounds.append((time.time() - begun, times))
    doubt, times = min(rounds)
    skews = {name: clock - times[0] for name, clock in zip(names, times, strict=True)}
    findings = [
        wrong("clocks", f"{name} is {skew:+.2f} s off {names[0]}", "start chrony or ntpd there")
        for name, skew in skews.items()
        if abs(skew) - doubt > allowed_s
    ]
    worst = max(map(abs, skews.values())) + doubt
    return findings or [right("clocks", f"differ by less than {worst * 1e3:.1f} ms")]


def _gathered(mine: Any) -> list[Any]:  # noqa: ANN401
    """Return what each process gives, in the order of the ranks."""
    everybodys: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everybodys, mine)
    return everybodys


def _name(rank: int) -> str:
    """Return the name under which a process stands in the table."""
    return f"{rank} ({socket.gethostname()})"


def _number(variable: str, default: int) -> int:
    return int(os.environ.get(variable, default))
