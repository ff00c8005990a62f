"""A process that is prepared asks for huge pages, and does not collect what it has imported."""

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


IMPORTS = """
import atexit, gc
atexit.register(lambda: print(len(gc.get_objects())))  # after those that come after it
from src.app.processes.process import begin_collecting, prepare_process
prepare_process()
import torch
print(gc.isenabled())
begin_collecting()
print(gc.isenabled(), len(gc.get_objects()))
of_a_first_job = [[number] for number in range(10_000)]
begin_collecting()  # a second job of a sweep
print(len(gc.get_objects()))
"""


@pytest.mark.long
def test_what_is_imported_is_not_collected_and_what_comes_after_is_until_the_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    resting, first, second, at_the_end = done.stdout.splitlines()
    assert resting == "False"
    assert first.split()[0] == "True"
    assert int(first.split()[1]) < 1000
    assert int(second) > 10_000
    assert int(at_the_end) < 1000


JOBS = """
import gc
from src.commands.cli.launch import launch
launch("degrade", lambda cfg: print(gc.isenabled()))
"""


@pytest.mark.long
@pytest.mark.parametrize("mode", [(), ("-m", "seed=1,2")])
def test_what_is_composed_and_done_is_collected_whoever_does_it(
    mode: tuple[str, ...], tmp_path: Path
) -> None:
    words = [*mode, f"input={tmp_path}", f"output={tmp_path / 'out'}"]
    folders = [f"hydra.run.dir={tmp_path / 'run'}", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    line = [sys.executable, "-c", JOBS, *words, *folders]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    said = [word for word in done.stdout.splitlines() if word in ("True", "False")]
    assert said == (["True", "True"] if mode else ["True"])
