"""What each process of the check does: look around, then compare with the others."""

import fcntl
import os
from pathlib import Path

import torch.distributed as dist

from src.app.processes.job import Job
from src.app.processes.place import Place
from src.commands.doctor.devices import card_id, check_devices
from src.commands.doctor.finding import Finding, merged, right, show, wrong
from src.commands.doctor.network import check_clocks, measure, process_group
from src.commands.doctor.storage import LOCK, TOKEN, can_lock, check_storage, is_first, wait_for
from src.commands.doctor.versions import check_same, facts, name_of
from src.core.types import PlainConfig

SHARED = "shared folder"


def examine(job: Job) -> float:
    """Do one process's part; the first prints the table and returns how much is wrong."""
    config = job.config
    rank, world = _number("RANK", 0), _number("WORLD_SIZE", 1)
    place = Place("this", rank, world, _number("LOCAL_WORLD_SIZE", 1))
    own = [
        *(Finding(**finding) for finding in job.notes["findings"] if rank == 0),
        *check_devices(config, place, _number("LOCAL_RANK", 0)),
        *check_storage(config),
    ]
    if world == 1:
        return float(show(own))
    try:
        with process_group(config):
            return _together(own, config, Path(job.folder))
    except RuntimeError as error:  # torch's, with what it waited for
        reason = str(error).strip().splitlines()[0]
        advice = (
            "are all machines up, and may they reach each other on any port? several networks: "
            "GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME=<the one to use>; patience_s=…"
        )
        own.append(wrong("network", f"{name_of(rank)}: {reason}", advice))
        return float(show(own))


def _together(own: list[Finding], config: PlainConfig, folder: Path) -> float:
    """Compare with the others; each step is taken by all processes."""
    world = dist.get_world_size()
    card = card_id(_number("LOCAL_RANK", 0))
    mine = {"name": name_of(dist.get_rank()), "card": card, "facts": facts(), "own": own}
    all_of_it: list[dict[str, object]] = [{}] * world
    dist.all_gather_object(all_of_it, mine)
    names = [str(held["name"]) for held in all_of_it]
    shared = _check_shared(folder)
    network = measure(config)
    clocks = check_clocks(names, float(config["skew_s"]))
    each: list[list[Finding]] = [[]] * world
    dist.all_gather_object(each, [*own, *shared, *network])
    if dist.get_rank() != 0:
        return 0.0
    return float(
        show(
            [
                *merged(each, names),
                *clocks,
                *check_same([dict(held["facts"]) for held in all_of_it], names),  # type: ignore[call-overload]
                *_check_cards([str(held["card"]) for held in all_of_it], names),
            ]
        )
    )


def _check_shared(folder: Path) -> list[Finding]:
    """See whether all processes have the same folder, with locks that hold between them."""
    first = dist.get_rank() == 0
    if first:
        (folder / TOKEN).write_text("here", encoding="utf-8")
        (folder / LOCK).touch()
    dist.barrier()
    seconds = wait_for(folder / TOKEN)
    advice = "paths.output_root=<a folder on a disk that all machines share>"
    findings = []
    if seconds is None:
        findings.append(wrong(SHARED, f"{folder.parent} is not the first process's", advice))
    elif seconds > 1:
        findings.append(wrong(SHARED, f"a new file shows after {seconds:.1f} s", "mount: noac"))
    lone, held = _makes_alone(folder), _is_held(folder / LOCK)  # steps of all processes
    if seconds is not None and not (lone and held):
        what = "file locks do not hold" if lone else "two processes can make the same file"
        text = f"{folder.parent}: {what} between machines"
        findings.append(wrong(SHARED, text, "NFS 4 without nolock, Lustre with -o flock"))
    return findings or [right(SHARED, f"{folder.parent}: seen by all, locks hold")]


def _makes_alone(folder: Path) -> bool:
    made: list[bool] = [False] * dist.get_world_size()
    dist.all_gather_object(made, is_first(folder) if folder.is_dir() else False)
    return sum(made) == 1


def _is_held(path: Path) -> bool:
    """Say whether a lock of the first process is seen by this one."""
    if dist.get_rank() == 0:
        with path.open("w") as holder:
            fcntl.flock(holder, fcntl.LOCK_EX)
            dist.barrier()
            dist.barrier()
        return True
    dist.barrier()
    free = path.exists() and can_lock(path)
    dist.barrier()
    return not free


def _check_cards(cards: list[str], names: list[str]) -> list[Finding]:
    """Refuse two processes that work on one GPU."""
    twice = [i for i, card in enumerate(cards) if card and card in cards[:i]]
    if not twice:
        return []
    named = ", ".join(f"{names[i]} and {names[cards.index(cards[i])]}" for i in twice)
    return [wrong("GPU", f"{named} have the same one", "one task a GPU; leave --gpu-bind alone")]


def _number(name: str, default: int) -> int:
    return int(os.environ.get(name, default))
