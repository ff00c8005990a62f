"""Jobs of a sweep that joblib runs side by side: a signal stops each once, none outlives us."""

import logging
import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from src.app.processes.process import end_with_parent, keep_going_without_output
from src.core.preemption import PREEMPTING, Preemption, heeded, preemptible, stopped_by
from src.core.redact import CleanRecord

_SIGNALS = (signal.SIGINT, *PREEMPTING)
_received: list[int] = []  # in the process that runs the sweep
_state = {"settled": False, "stopped": False}  # in a process that joblib has started


@contextmanager
def signals_shared(launcher: str) -> Iterator[None]:
    """Let joblib's jobs save at a signal before the sweep ends, which joblib would kill at once.

    Signals stay blocked here and in all that is started, so that a process without a job does not
    die of one, which joblib takes for a broken pool; a thread passes them on to the jobs. Threads
    of libraries do not block them, so there are handlers as well. Nothing is done for the jobs of
    another ``launcher`` of Hydra's.

    Raises:
        KeyboardInterrupt: After Ctrl-C, when the jobs have ended.
        Preemption: After a scheduler's signal, likewise.
    """
    if "joblib" not in launcher or not hasattr(signal, "sigtimedwait"):
        yield
        return
    _received.clear()
    over = threading.Event()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    held = {signum: signal.signal(signum, _note) for signum in (signal.SIGINT, *heeded())}
    thread = threading.Thread(target=_pass_on, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for signum, handler in held.items():
            signal.signal(signum, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if _received:
            raise stopped_by(_received[0])


def asked_to_stop() -> bool:
    """Say whether no further jobs are to start."""
    return bool(_received)


def _note(signum: int, frame: FrameType | None) -> None:
    _received.append(signum)


def _pass_on(over: threading.Event) -> None:
    reached: set[tuple[int | None, int]] = set()
    while not over.is_set():
        news = signal.sigtimedwait(_SIGNALS, 0.2)
        if news is not None:
            _received.append(news.si_signo)
        for job in multiprocessing.active_children() if _received else ():
            if job.pid is not None and (job.pid, len(_received)) not in reached:
                reached.add((job.pid, len(_received)))
                with suppress(ProcessLookupError):
                    os.kill(job.pid, _received[-1])


def run_beside(job: Callable[[], float], starter: int, not_begun: Callable[[], object]) -> float:
    """Run a job of a sweep; one that is stopped in a process of joblib's returns NaN.

    Its error would make joblib kill the other jobs, which are saving. ``not_begun`` is called in
    place of jobs that come later; ``starter`` is the process that runs the sweep.
    """
    logging.setLogRecordFactory(CleanRecord)
    if os.getppid() != starter:
        return job()
    if _state["stopped"]:
        not_begun()
        return math.nan
    _settle_in()
    try:
        with preemptible():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            try:
                return job()
            finally:
                signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    except (KeyboardInterrupt, Preemption):
        _state["stopped"] = True
    except SystemExit as stop:
        if not isinstance(stop.__context__, KeyboardInterrupt):  # as which Lightning raises it
            raise
        _state["stopped"] = True
    return math.nan


def _settle_in() -> None:
    """Leave the terminal's group, whose signals are passed on already; end with the starter."""
    if _state["settled"]:
        return
    _state["settled"] = True
    os.setpgid(0, 0)
    keep_going_without_output()
    end_with_parent()
