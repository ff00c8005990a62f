"""What a piece of work took: wall time, and memory at its highest."""

import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch


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
