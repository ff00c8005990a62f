"""What one process sees of its machine: GPU, processor, disks, code, and how it was started."""

import errno
import fcntl
import hashlib
import math
import os
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from src.app.processes.place import Place
from src.commands.doctor.finding import Finding, note, right, wrong
from src.core.origin import origin, versions
from src.core.paths import CONF_DIR, PACKAGE, from_root
from src.core.types import PlainConfig

GIB, MIB = 2**30, 2**20
_FILES = 1024  # open files: loaders share tensors through descriptors
_BLOCK = 2**24  # bytes, to measure writing with


def check_machine(config: PlainConfig, place: Place, local_rank: int) -> list[Finding]:
    """Look at the GPU of this process, at the processor, and at the folders of a training."""
    paths, free_gib = config["paths"], float(config["free_gib"])
    written = [
        _check_written(f"paths.{name}", from_root(str(paths[name])), free_gib)
        for name in ("output_root", "cache_dir")
    ]
    data = _check_data(from_root(str(paths["data_dir"])))
    return [*_check_gpu(config, place, local_rank), *_check_processor(place), *written, data]


def check_start(place: Place) -> Finding:
    """Say who has started how many processes, and what looks like a mistake in it."""
    if place.starter is not None:
        count = f"{place.world} processes, {place.local_world} on each of {place.machines} machines"
        return right("started by", f"{place.starter}: {count}")
    nodes = os.environ.get("SLURM_JOB_NUM_NODES", "1")
    if "SLURM_JOB_ID" in os.environ and nodes not in {"", "1"}:
        advice = "srun python -m src.doctor trainer=ddp_slurm"
        return note("started by", f"itself, in a SLURM job of {nodes} machines", advice)
    return right("started by", "itself")


def check_address(place: Place, *, listens: bool) -> Finding:
    """Look at ``MASTER_ADDR`` and ``MASTER_PORT`` as torchrun or srun has set them.

    Where this process ``listens``, the port must be free.
    """
    check = "first address"
    name, port = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "")
    if not name or not port.isdigit():
        advice = "start it by torchrun or srun, which set MASTER_ADDR and MASTER_PORT"
        return wrong(check, f"MASTER_ADDR={name!r}, MASTER_PORT={port!r}", advice)
    try:
        address = socket.getaddrinfo(name, int(port), type=socket.SOCK_STREAM)[0][4][0]
    except OSError as error:
        advice = "MASTER_ADDR=<an address of the first machine>, or a line in /etc/hosts"
        return wrong(check, f"{name} has no address ({error.strerror})", advice)
    if place.machines > 1 and str(address).startswith("127."):
        advice = "MASTER_ADDR=<its address in the network>; torchrun: --master-addr, --local-addr"
        return wrong(check, f"{name} is {address}: no other machine reaches that", advice)
    found = f"{name} ({address}), port {port}"
    if listens and not _is_free(int(port)):
        return wrong(check, f"{found}, is in use", "MASTER_PORT=<another>, or end what uses it")
    return right(check, found)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def facts() -> dict[str, str]:
    """Return what must be the same everywhere: commit, hash of all source files, and versions."""
    digest = hashlib.sha256()
    for pattern, folder in (("*.py", PACKAGE), ("*.yaml", CONF_DIR)):
        for file in sorted(folder.rglob(pattern)):
            digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return {"commit": str(origin()["commit"]), "source": digest.hexdigest()[:12], **versions()}


def card_id(local_rank: int) -> str:
    """Return what tells the GPU of this process from every other; empty where there is none."""
    there = local_rank < torch.cuda.device_count()
    return str(torch.cuda.get_device_properties(local_rank).uuid) if there else ""


def locks(path: Path) -> bool:
    """Say whether ``path`` can be locked, which is undone at once."""
    with path.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def _check_gpu(config: PlainConfig, place: Place, index: int) -> Iterator[Finding]:
    accelerator, there = config["trainer"]["accelerator"], torch.cuda.device_count()
    if accelerator not in {"gpu", "cuda"} and not (accelerator == "auto" and there):
        if there:
            yield note("GPU", f"{there} unused", "trainer=gpu or trainer=ddp")
        return
    if there < place.local_world:
        yield wrong("GPU", f"CUDA sees {there}, {place.local_world} wanted", _why_none(there))
        return
    name = torch.cuda.get_device_name(index)
    try:
        free, total = torch.cuda.mem_get_info(index)
        ones = torch.ones(64, 64, device=f"cuda:{index}")
        exact = bool((ones @ ones == 64).all())
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        yield wrong("GPU", f"{name} cannot be used: {reason}", "nvidia-smi says more; reboot?")
        return
    found = f"{name}, {free / GIB:.1f} of {total / GIB:.1f} GiB free, driver {_driver()}"
    if not exact:
        yield wrong("GPU", f"{found}: it miscalculates", "take it out of use")
    elif free < float(config["gpu_free_gib"]) * GIB:
        yield wrong("GPU", found, "end what holds its memory (nvidia-smi), or gpu_free_gib=…")
    else:
        yield right("GPU", found)


def _why_none(there: int) -> str:
    if there:
        return f"trainer.devices={there}, or ask for more GPUs; see CUDA_VISIBLE_DEVICES"
    if torch.version.cuda is None:
        return "this torch has no CUDA: make install TORCH=cu126; or trainer=cpu, trainer=ddp_cpu"
    if _driver() == "unknown":
        return "no driver (nvidia-smi) is there: ask for a machine with GPUs"
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return "CUDA_VISIBLE_DEVICES is empty: ask the scheduler for GPUs (--gpus-per-node)"
    return f"driver {_driver()} may be too old for CUDA {torch.version.cuda}: another TORCH=cu…"


def _driver() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return "unknown"
    words = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    asked = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    lines = asked.stdout.split()
    return lines[0] if asked.returncode == 0 and lines else "unknown"


def _check_processor(place: Place) -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads, memory = torch.get_num_threads(), psutil.virtual_memory()
    found = f"{cores} cores, {memory.available / GIB:.0f} of {memory.total / GIB:.0f} GiB free"
    if threads * place.local_world > (cores or 1):
        found += f"; {place.local_world} processes of {threads} threads on {cores}"
        advice = "ask for more (--cpus-per-task), or fewer threads (OMP_NUM_THREADS)"
        yield note("processor", found, advice)
    else:
        yield right("processor", found)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < _FILES:
        yield wrong("open files", f"limit {files}", f"ulimit -n {_FILES} or more")


def _check_written(check: str, folder: Path, free_gib: float) -> Finding:
    scratch = folder / f".doctor-{os.uname().nodename}-{os.getpid()}"
    try:
        scratch.mkdir(parents=True)
        try:
            return _try_out(check, scratch, free_gib)
        finally:
            shutil.rmtree(scratch)
    except OSError as error:
        advice = f"{check}=<a folder that can be written>, or change its owner or mount"
        return wrong(check, f"{folder}: {error.strerror or error}", advice)


def _try_out(check: str, scratch: Path, free_gib: float) -> Finding:
    begun = time.monotonic()
    target, new = scratch / "file", scratch / ".file.new"
    target.write_bytes(b"old")
    with new.open("wb") as file:
        file.write(bytes(_BLOCK))
        file.flush()
        os.fsync(file.fileno())
    rate = _BLOCK / MIB / (time.monotonic() - begun)
    with target.open("rb") as reader:  # one who reads must see the old file whole, or the new
        new.replace(target)
        if reader.read() != b"old" or target.stat().st_size != _BLOCK:
            return wrong(check, f"{scratch.parent}: renaming is not atomic", "use another disk")
    with target.open("r+") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        if locks(target):
            found = f"{scratch.parent}: file locks have no effect"
            advice = "mount it with locks (NFS: without nolock, Lustre: -o flock), or another disk"
            return wrong(check, found, advice)
    free = shutil.disk_usage(scratch).free / GIB
    # so rough that processes that see the same disk say the same
    room, speed = float(f"{free:.2g}"), 10 ** int(math.log10(max(rate, 1)))
    found = f"{scratch.parent}: writable, {room:g} GiB free, {speed} MiB/s or more"
    if free < free_gib:
        return wrong(check, found, f"make room, or free_gib={free * 0.9:.1f} if that will do")
    return right(check, found)


def _check_data(folder: Path) -> Finding:
    check = "paths.data_dir"
    if not folder.is_dir():
        return note(check, f"{folder}: not there", "python -m src.prepare, if a data set is used")
    if not os.access(folder, os.R_OK | os.X_OK):
        return wrong(check, f"{folder}: cannot be read", "change its owner or mode")
    try:
        return right(check, f"{folder}: {len(list(folder.iterdir()))} entries")
    except OSError as error:
        return wrong(check, f"{folder}: {error.strerror}", "is its disk mounted?")
