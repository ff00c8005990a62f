"""The kill experiment, short, and each entry of the fault list."""

import os
from pathlib import Path

import pytest

from tools.faults.__main__ import ALL, fault_of
from tools.faults.scene import Fault, Scene
from tools.kill_experiment import differences, experiment, table
from tools.killed_run import KilledRun

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("processes", "kills"), [(1, 5), (2, 3)])
def test_kills_at_random_moments_lose_nothing(processes: int, kills: int, tmp_path: Path) -> None:
    run = KilledRun(tmp_path / "run", kills=kills, seed=1, processes=processes)
    done, verdict = experiment(run, float("inf"))
    assert verdict is not None
    assert verdict.holds, f"{verdict}\n{table(done)}"
    whole = run.folder.with_name("run_whole")
    rows = (run.folder / "metrics.csv").read_text().splitlines()
    (run.folder / "metrics.csv").write_text("\n".join(rows[:-1]))
    assert differences(run.folder, whole) == ["metrics.csv"]


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.name)
def test_a_fault_ends_with_a_message_and_leaves_what_it_should(
    fault: Fault, tmp_path: Path
) -> None:
    if fault.root and os.geteuid():
        pytest.skip("mounting a disk needs the rights of root")
    scene = Scene(tmp_path)
    done = fault.act(scene)
    assert fault_of(fault, done) == ""
    assert fault.left(scene)


def test_the_list_is_as_long_as_promised() -> None:
    names = [fault.name for fault in ALL]
    assert len(set(names)) == len(names) >= 40
