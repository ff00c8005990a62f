"""A process that is prepared asks the kernel for huge pages, unless its user has said otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.core.paths import ROOT

SCRIPT = """
from src.app.processes.process import prepare_process
prepare_process()
import re, torch
image = torch.ones(1, 64, 512, 512)  # 64 MiB
asked = size = 0
for line in open("/proc/self/smaps"):
    if found := re.match(r"Size: +([0-9]+) kB", line):
        size = int(found[1])
    elif line.startswith("VmFlags:") and "hg" in line.split():
        asked += size
print(asked // 1024)
"""


def mib_asked_for(said: dict[str, str]) -> int:
    """Return how much of a process's memory the kernel was asked to put into huge pages."""
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
    not Path("/sys/kernel/mm/transparent_hugepage").is_dir(),
    reason="only Linux can be asked, built with huge pages that need no reservation",
)
def test_huge_pages_are_asked_for_large_tensors_unless_the_user_says_otherwise() -> None:
    assert mib_asked_for({}) >= 60
    assert mib_asked_for({"THP_MEM_ALLOC_ENABLE": "0"}) == 0
