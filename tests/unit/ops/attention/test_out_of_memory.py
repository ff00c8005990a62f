"""Attention on a device that is really full: a process whose memory the system limits."""

import json
import subprocess
import sys

import pytest

from src.core.paths import ROOT

SCRIPT = """
import json, logging, resource, torch
from pathlib import Path
from src.ops.attention.chunked import chunked_patch_attention
logging.basicConfig(format="%(message)s")
torch.set_num_threads(1)
query, key, value = (
    torch.randn(1, c, 64, 64, dtype=torch.float64, requires_grad=True) for c in (4, 4, 6)
)
def work(budget):
    result = chunked_patch_attention(query, [key], [value], memory_budget=budget)
    return result, *torch.autograd.grad((result**2).sum(), (query, key, value))
expected = work(2**20)
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + 60 * 2**20,) * 2)
found = work(2**28)  # 128 MiB of scores
print(json.dumps([float((a - b).detach().abs().max()) for a, b in zip(found, expected)]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits as Linux does")
def test_a_full_device_halves_the_block_and_goes_on_to_the_same_result() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert max(json.loads(done.stdout)) < 1e-10
    lines = [line for line in done.stderr.splitlines() if "out of memory" in line]
    assert lines, "the device was never full: the test is too small"
    assert len(set(lines)) == len(lines)  # one for each size of block
    assert "memory_budget=" in lines[-1]
