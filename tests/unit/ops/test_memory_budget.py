"""The budget of chunked attention bounds what the process really takes."""

import subprocess
import sys

import pytest

from src.core.paths import ROOT

SCRIPT = """
import resource, sys, torch
from src.ops.patch_attention import chunked_patch_attention
torch.set_num_threads(1)
side, budget = int(sys.argv[1]), int(sys.argv[2])
def draw(c, s): return torch.randn(1, c, s, s)
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
small = draw(8, 8)
chunked_patch_attention(small, [small], [small])  # libraries and thread pools are in memory now
query, keys, values = draw(16, side), [draw(16, side)], [draw(32, side)]
before = peak()
chunked_patch_attention(query, keys, values, memory_budget=budget)
print(peak() - before)
"""


def peak_bytes(side: int, budget: int) -> int:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(side), str(budget)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return int(result.stdout)


@pytest.mark.parametrize("budget", [2**25, 2**26])
def test_peak_memory_stays_within_the_budget(budget: int) -> None:
    side = 72  # 27 million scores: 103 MiB in the plain form, and as much again for the softmax
    outputs = side * side * 32 * 4
    assert peak_bytes(side, budget) <= budget + 2 * outputs + 2**22  # the allocator rounds up
