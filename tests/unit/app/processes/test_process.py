"""A process that is prepared asks the kernel for huge pages, unless its user has said otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.core.paths import ROOT

GRANTED = Path("/sys/kernel/mm/transparent_hugepage/enabled")
SCRIPT = """
from src.app.processes.process import prepare_process
prepare_process()
import torch
image = torch.ones(1, 64, 512, 512)  # 64 MiB
lines = open("/proc/self/smaps_rollup").read().splitlines()
print(sum(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages")) // 1024)
"""


def huge_mib(said: dict[str, str]) -> int:
    kept = {key: value for key, value in os.environ.items() if key != "THP_MEM_ALLOC_ENABLE"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env=kept | said,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.long
@pytest.mark.skipif(
    not GRANTED.is_file() or "[madvise]" not in GRANTED.read_text(),
    reason="this kernel grants huge pages always or never, whoever asks",
)
def test_large_tensors_lie_in_huge_pages_unless_the_user_says_otherwise() -> None:
    assert huge_mib({}) >= 48
    assert huge_mib({"THP_MEM_ALLOC_ENABLE": "0"}) < 16
