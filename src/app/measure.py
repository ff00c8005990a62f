"""What a call costs: seconds, bytes at the peak, floating-point operations."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil
import torch
from torch.utils.flop_counter import FlopCounterMode

from src.core.heap import give_back_freed, given_back_at_once
from src.core.memory import high_water_bytes, reset_high_water
from src.ops.attention.operator_costs import FLOPS

Call = Callable[[], object]


@dataclass(frozen=True)
class Weight:
    """What one call takes beside time."""

    peak_bytes: float  # beside what was there before the call, its result included; NaN if unknown
    flops: int  # in products and convolutions


def weigh(calls: Mapping[str, Call], device: torch.device) -> dict[str, Weight]:
    """Return what each call takes; on the CPU before the process has held anything large.

    What it has freed may be reused in part and then counts whole: timing comes after weighing.
    """
    with given_back_at_once():
        weights = {}
        for name, call in calls.items():
            flops = count_flops(call)  # the first call also loads libraries
            weights[name] = Weight(peak_bytes(call, device), flops)
        return weights


def time_in_turn(
    calls: Mapping[str, Call], *, runs: int, warmup: int, device: torch.device
) -> dict[str, tuple[float, ...]]:
    """Time several calls in turn, A B C A B C …, so that a slow spell strikes all alike.

    Returns:
        The seconds of each run.
    """
    for call in calls.values():
        for _ in range(warmup):
            call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            seconds[name].append(_seconds(call, device))
    return {name: tuple(times) for name, times in seconds.items()}


def quartiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    if len(seconds) == 1:
        return seconds[0], seconds[0], seconds[0]
    lower, median, upper = statistics.quantiles(seconds, n=4, method="inclusive")
    return lower, median, upper


def count_flops(call: Call) -> int:
    """Return the floating-point operations of products and convolutions, two a multiply-add."""
    with FlopCounterMode(display=False, custom_mapping=dict(FLOPS)) as counter:
        call()
    return int(counter.get_total_flops())


def peak_bytes(call: Call, device: torch.device) -> float:
    """Return how much memory ``call`` takes at its peak beside what is taken already.

    On the CPU from the process's high-water mark, which Linux lets one reset; elsewhere NaN. The
    memory that libraries take for themselves is seen too, unless they keep it from an earlier call.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return float(torch.cuda.max_memory_allocated(device) - before)
    if not give_back_freed() or not reset_high_water():
        return math.nan
    before = psutil.Process().memory_info().rss
    result = call()
    peak = high_water_bytes()
    del result
    return float(max(0, peak - before))


def _seconds(call: Call, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
