"""What happens to a group of real processes, each of which ends in some way."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from src.app.processes import group
from src.app.processes.group import run_group
from src.app.processes.job import Job
from src.app.processes.outcome import Outcome, ProcessFaultError, read_outcome, result_of
from src.core.errors import ConfigError, ExemplarError
from src.core.paths import ROOT
from src.core.preemption import Preemption

pytestmark = pytest.mark.ddp
PATIENCE_S = 30
LOGGING = {"version": 1}


def _job(target: str, folder: Path) -> Job:
    return Job(
        {"batch": 3},
        str(folder),
        f"tests.support.group_jobs.{target}",
        processes=2,
        hydra={"job_logging": LOGGING},
    )


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "GRACE_S", 0.2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_each_process_has_its_place_and_the_one_job_and_this_one_stays_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "7")  # left by an earlier job
    before = dict(os.environ)
    job = _job("note_place", tmp_path)
    assert run_group(job) == 0.0  # that of the first process
    assert dict(os.environ) == before
    outcomes = [read_outcome(job.place, rank) for rank in (0, 1)]
    assert {outcome.digest for outcome in outcomes if outcome} == {job.digest()}
    told = [(tmp_path / f"place_{rank}").read_text().split() for rank in (0, 1)]
    assert [words[:3] for words in told] == [
        [f"RANK={rank}", f"LOCAL_RANK={rank}", "WORLD_SIZE=2"] for rank in (0, 1)
    ]
    assert told[0][3:] == told[1][3:]  # one port, as many threads
    assert told[0][4] == f"OMP_NUM_THREADS={max(1, (os.cpu_count() or 1) // 2)}"


@pytest.mark.long
@pytest.mark.parametrize(
    ("target", "kind", "says"),
    [
        ("refuse", ConfigError, "data.batch_size=3 cannot be shared"),
        ("lose_data_in_second", ExemplarError, "the disk is gone"),
        ("break_in_second", ProcessFaultError, "ZeroDivisionError: a fault"),
        ("be_killed_in_second", ExemplarError, "Process 1 of 2 was killed by SIGKILL"),
        ("be_killed_and_missed", ExemplarError, "Process 1 of 2 was killed by SIGKILL"),
        ("miss_each_other", ExemplarError, "no answer from the others any more .*Timed out"),
    ],
)
def test_what_one_process_meets_ends_all_and_is_said(
    target: str, kind: type[Exception], says: str, tmp_path: Path
) -> None:
    begun = time.monotonic()
    with pytest.raises(kind, match=says):
        run_group(_job(target, tmp_path))
    assert time.monotonic() - begun < PATIENCE_S


def test_an_interrupt_reaches_every_process(tmp_path: Path) -> None:
    def interrupt() -> None:
        end = time.monotonic() + PATIENCE_S
        while len(list(tmp_path.glob("waits_*"))) < 2 and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    job = _job("wait_for_interrupt", tmp_path)
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run_group(job)
    outcomes = [read_outcome(job.place, rank) for rank in (0, 1)]
    assert [outcome.status for outcome in outcomes if outcome] == ["interrupted"] * 2


@pytest.mark.long
@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("save_when_preempted", "saved"),
        ("wait_for_interrupt", "Stopped by SIGUSR1 before the work was done"),
    ],
)
def test_a_schedulers_signal_reaches_every_process_and_comes_back(
    target: str, says: str, tmp_path: Path
) -> None:
    """Whether the processes know the signal already, or are still starting and end by it."""

    def preempt() -> None:
        end = time.monotonic() + PATIENCE_S
        while len(list(tmp_path.glob("waits_*"))) < 2 and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGUSR1)

    threading.Thread(target=preempt).start()
    with pytest.raises(Preemption, match=says) as stop:
        run_group(_job(target, tmp_path))
    assert stop.value.signum == signal.SIGUSR1
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


@pytest.mark.long
def test_no_process_outlives_the_one_that_started_it(tmp_path: Path) -> None:
    job = _job("wait_for_interrupt", tmp_path)
    code = (
        "from src.app.processes.group import run_group\n"
        "from src.app.processes.job import parse\n"
        f"run_group(parse({job.text()!r}))\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    end = time.monotonic() + PATIENCE_S
    while len(list(tmp_path.glob("waits_*"))) < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    ranks = _children(starter.pid)
    assert len(ranks) == 2
    starter.kill()
    starter.wait()
    while any(Path(f"/proc/{pid}").exists() and not _is_zombie(pid) for pid in ranks):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_score_that_is_no_number_arrives_as_such(tmp_path: Path) -> None:
    Outcome(0, "digest", "done", score=None).write(tmp_path)
    outcome = read_outcome(tmp_path, 0)
    assert outcome is not None
    assert math.isnan(result_of(outcome))


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].startswith("Z")
    except OSError:
        return True
