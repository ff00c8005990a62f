"""How much memory is free, what share an operation may take, and what a piece of work took."""

import resource
import sys
import time
from pathlib import Path
from typing import Any, Literal

import psutil
import torch

MemoryBudget = int | Literal["auto"]

SHARE = 8
"""An automatic budget is at most one part in this many of what is free."""

LEAST, MOST, MOST_ON_GPU = 2**24, 2**28, 2**30
"""Bounds of an automatic budget; above the upper ones larger blocks are no faster."""

_CGROUP = Path("/sys/fs/cgroup")


def free_bytes(device: torch.device) -> int:
    """Return how many bytes may still be taken on ``device``.

    On the CPU what the system can give without swapping, or what a container's limit leaves; on a
    GPU what the driver has and what torch's allocator keeps for reuse.
    """
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    available = int(psutil.virtual_memory().available)
    left = _left_in_container()
    return available if left is None else max(0, min(available, left))


def budget_bytes(budget: MemoryBudget, device: torch.device) -> int:
    """Return ``budget`` in bytes; ``auto`` is a share of what is free on ``device``.

    The share is a power of two within fixed bounds, so that it seldom changes from call to call,
    and on machines with memory to spare never: the size of blocks moves the last bits of results.
    """
    if budget != "auto":
        return budget
    share = max(1, free_bytes(device) // SHARE)
    most = MOST_ON_GPU if device.type == "cuda" else MOST
    return min(max(1 << (share.bit_length() - 1), LEAST), most)


def check_budget(budget: MemoryBudget) -> MemoryBudget:
    """Return ``budget`` if it is one.

    Raises:
        ValueError: If it is neither ``auto`` nor a number of bytes from 1.
    """
    if budget == "auto" or (isinstance(budget, int) and budget >= 1):
        return budget
    raise ValueError(
        f"memory_budget={budget} must be auto or a number of bytes from 1, e.g. 268435456."
    )


def _left_in_container() -> int | None:
    """Return what the limit of this process's control group (version 2) leaves, if it has one."""
    try:
        limit = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
        lines = (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:  # another system, or no limit to be seen
        return None
    if limit == "max":
        return None
    cached = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    return int(limit) - (used - cached)


class Resources:
    """Measures from its making on.

    On Linux the process's high-water mark is reset, so that earlier work does not count; elsewhere
    the peak is that of the process so far.
    """

    def __init__(self) -> None:
        reset_high_water()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._start = time.perf_counter()

    def as_dict(self) -> dict[str, Any]:
        """Return seconds, and the peaks of process and GPU in MiB; None where there is no GPU."""
        gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
        return {
            "wall_seconds": round(time.perf_counter() - self._start, 3),
            "peak_memory_mib": round(high_water_bytes() / 2**20, 1),
            "peak_gpu_memory_mib": None if gpu is None else round(gpu / 2**20, 1),
        }


def reset_high_water() -> bool:
    """Let the process's peak be its present size; return whether the system could."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # man 5 proc
    except OSError:  # another system, or one that forbids it
        return False
    return True


def high_water_bytes() -> int:
    """Return the process's largest size, since the last reset where the system has one."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
