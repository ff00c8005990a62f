"""What a call costs: seconds, bytes at the peak, floating-point operations."""

import ctypes
import gc
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch.utils.flop_counter import FlopCounterMode

from src.ops.operator_flops import FLOPS

Call = Callable[[], object]


@dataclass(frozen=True)
class Cost:
    """What one form cost.

    Attributes:
        seconds: Each timed run.
        peak_bytes: Most memory held beside what was there before the call, its result included;
            NaN where the system does not tell.
        flops: Floating-point operations in products and convolutions.
    """

    seconds: tuple[float, ...]
    peak_bytes: float
    flops: int

    @property
    def median(self) -> float:
        """Return the median of the runs in seconds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Return the lower and upper quartile of the runs in seconds."""
        if len(self.seconds) == 1:
            return self.seconds[0], self.seconds[0]
        lower, _, upper = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return lower, upper


def compare(
    calls: Mapping[str, Call], *, runs: int, warmup: int, device: torch.device
) -> dict[str, Cost]:
    """Measure several calls in turn, A B C A B C …, so that a slow spell strikes all alike."""
    flops, peaks = {}, {}
    for name, call in calls.items():
        flops[name] = count_flops(call)  # the first call also loads libraries
        for _ in range(warmup):
            call()
        peaks[name] = peak_bytes(call, device)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            seconds[name].append(_seconds(call, device))
    return {name: Cost(tuple(seconds[name]), peaks[name], flops[name]) for name in calls}


def count_flops(call: Call) -> int:
    """Return the floating-point operations of products and convolutions, two a multiply-add."""
    with FlopCounterMode(display=False, custom_mapping=dict(FLOPS)) as counter:
        call()
    return int(counter.get_total_flops())


def peak_bytes(call: Call, device: torch.device) -> float:
    """Return how much memory ``call`` holds at its peak beside what is held already.

    On the CPU from the process's high-water mark, which Linux lets one reset; elsewhere NaN. The
    memory that libraries take for themselves is seen too.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return float(torch.cuda.max_memory_allocated(device) - before)
    if not sys.platform.startswith("linux"):
        return math.nan
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # give back what was kept, or it hides the peak
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # man 5 proc
    except (OSError, AttributeError):
        return math.nan
    held = psutil.Process().memory_info().rss
    result = call()
    peak = _high_water()
    del result
    return float(max(0, peak - held))


def _high_water() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _seconds(call: Call, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
