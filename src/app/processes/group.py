"""Start the processes of a job on this machine, watch them, and bring back what came out."""

import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from src.app.processes.exchange import publish
from src.app.processes.job import PASSWORDS, Job, settled_by_hydra
from src.app.processes.outcome import (
    ALONE,
    FAILED,
    REFUSED,
    Outcome,
    forget_outcomes,
    read_outcome,
    result_of,
    take_part,
)
from src.app.processes.place import VARIABLES, here
from src.core.paths import PACKAGE
from src.core.preemption import heeded, stopped_by
from src.core.redact import passwords_in

GRACE_S = 10.0
"""Seconds that the others have to end by themselves when one process has failed."""

LEFT_S = 60.0
"""Seconds that the others have when process 0 is done: a machine may have frozen one of them."""

_POLL_S = 0.05
_RANK = "src.app.processes.rank"


def carry_out(function: Callable[[Job], float], job: Job) -> float:
    """Do ``function`` of ``job`` here, in new processes, or in the group that this one is in.

    Raises:
        ExemplarError, ProcessFaultError, KeyboardInterrupt: What stopped it.
    """
    place = here()
    if place.starter is None and job.processes == 1:
        return function(job)
    target = f"{function.__module__}.{function.__qualname__}"
    job = replace(job, target=target, hydra=settled_by_hydra())
    if place.starter is None:
        return run_group(job)
    job.freeze()
    forget_outcomes(job.place)
    publish(place, job)
    return result_of(take_part(job, place.rank))


def run_group(job: Job) -> float:
    """Run ``job`` in ``job.processes`` new processes; return what the first of them returns.

    Nothing of this process changes but that it passes signals on: rank, address and port
    are variables of the new processes, so that the next job of a sweep finds a clean environment.

    Raises:
        ExemplarError, ProcessFaultError, KeyboardInterrupt, Preemption: What the first process to
            fail met.
    """
    file = job.freeze()
    forget_outcomes(job.place)
    port = str(free_port())
    started: list[subprocess.Popen[bytes]] = []
    try:
        with _signals_passed_on(started) as received:
            # one by one, so that those that were started are ended when another cannot be
            started.extend(_start(job, file, rank, port) for rank in range(job.processes))
            failed = _watch(started)
    finally:
        _end(started)
    outcome = _verdict(job, started, failed)
    if outcome.status == FAILED and -started[outcome.rank].returncode in received:
        raise stopped_by(received[0])  # met where there was nothing to save yet
    if outcome.status == REFUSED:
        shutil.rmtree(job.place)  # the message says all; a refused run leaves nothing
    return result_of(outcome)


def free_port() -> int:
    """Return a TCP port that is free on this machine now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start(job: Job, file: Path, rank: int, port: str) -> subprocess.Popen[bytes]:
    threads = max(1, (os.cpu_count() or 1) // job.processes)
    paths = (sys.path[0], str(PACKAGE.parent), os.environ.get("PYTHONPATH"))
    environment = {
        "OMP_NUM_THREADS": str(threads),  # else each process would take all processors
        **{name: value for name, value in os.environ.items() if name not in VARIABLES},
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": str(job.processes),
        "LOCAL_WORLD_SIZE": str(job.processes),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        PASSWORDS: json.dumps(passwords_in(job.text())),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    log = None if rank == 0 else (job.place / f"rank_{rank}.log").open("wb")
    try:
        return subprocess.Popen(  # noqa: S603
            # -P: a user's own src/ in the current folder must not be taken for ours
            [sys.executable, "-P", "-m", _RANK, str(file)],
            env=environment,
            stdin=subprocess.PIPE,  # closed when this process dies: the rank then ends too
            stdout=log,
            stderr=log,
            start_new_session=True,  # a terminal's Ctrl-C reaches this process alone, once
        )
    finally:
        if log is not None:
            log.close()


def _watch(started: list[subprocess.Popen[bytes]]) -> int | None:
    """Wait for all, but not for ever; return the first rank that failed.

    When one has failed, the others have ``GRACE_S``; when the first is done, ``LEFT_S``.
    """
    failed: int | None = None
    end = math.inf
    while True:
        codes = [process.poll() for process in started]
        if failed is None and any(codes):
            failed = next(rank for rank, code in enumerate(codes) if code)
            end = min(end, time.monotonic() + GRACE_S)
        elif codes[0] == 0 and end == math.inf:
            end = time.monotonic() + LEFT_S
        if None not in codes or time.monotonic() > end:
            return failed
        time.sleep(_POLL_S)


def _end(started: list[subprocess.Popen[bytes]]) -> None:
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def _verdict(job: Job, started: list[subprocess.Popen[bytes]], failed: int | None) -> Outcome:
    """Return the outcome that speaks for all: of the first that failed, else of process 0."""
    left = [read_outcome(job.place, rank) for rank in range(job.processes)]
    # A user's error explains what the others met when they lost a partner.
    plain = [outcome for outcome in left if outcome and outcome.status in {REFUSED, FAILED}]
    if plain:
        return plain[0]
    first = 0 if failed is None else failed
    outcome = left[first]
    if outcome is not None and outcome.status == ALONE:  # what another met explains that
        met = [r for r, other in enumerate(left) if other is None or other.status != ALONE]
        first = met[0] if met else first
        outcome = left[first]
    if outcome is None:
        return _vanished(job, first, started[first].returncode)
    return outcome


def _vanished(job: Job, rank: int, code: int) -> Outcome:
    """Return the outcome of a process that ended without a word."""
    how = f"ended with status {code}"
    if code < 0:
        name = signal.Signals(-code).name
        how = f"was killed by {name}"
        if -code == signal.SIGKILL:
            how += " (is there enough memory? lower data.batch_size or data.workers)"
    log = "" if rank == 0 else f" Its output: {job.place / f'rank_{rank}.log'}."
    message = f"Process {rank} of {job.processes} {how}; the others were stopped.{log}"
    return Outcome(rank, job.digest(), FAILED, message=message)


@contextmanager
def _signals_passed_on(started: list[subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """Yield the signals that are received, in the order in which they come."""
    received: list[int] = []

    def pass_on(signum: int, frame: FrameType | None) -> None:
        received.append(signum)
        for process in started:
            if process.poll() is None:
                process.send_signal(signum)

    if threading.current_thread() is not threading.main_thread():
        yield received  # Python gives signals to the main thread alone
        return
    held = {signum: signal.signal(signum, pass_on) for signum in (signal.SIGINT, *heeded())}
    try:
        yield received
    finally:
        for signum, handler in held.items():
            signal.signal(signum, handler)
