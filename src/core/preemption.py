"""The machine is wanted back: how a scheduler says so, and how a process then ends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PREEMPTING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
"""``scancel`` and preemption send the first, ``#SBATCH --signal`` what it names, submitit the
third; the last comes when the terminal or the connection is closed."""

EXIT_AGAIN = 75
"""Exit status that asks to be started again, that of ``sysexits.h`` for a temporary failure."""


class Preemption(BaseException):
    """Training has stopped because the machine is wanted back; everything is saved.

    Like KeyboardInterrupt no error, so that nothing that handles errors takes it for one.
    """

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.signum = signum

    @property
    def exit_status(self) -> int:
        """75 after a warning; 143 after SIGTERM, maybe ``scancel``; 129 after SIGHUP."""
        final = (signal.SIGTERM, signal.SIGHUP)
        return 128 + self.signum if self.signum in final else EXIT_AGAIN


_answered: list[int] = []
"""Signals in this block that were answered by an exception."""


def lost() -> int:
    """Return the signal whose exception somebody has swallowed, 0 if there is none.

    Libraries do so while they are imported, and Python in finalizers; whoever asks is still here.
    """
    return _answered[-1] if _answered else 0


def heeded() -> list[int]:
    """Return those of ``PREEMPTING`` that this process was not told to ignore, e.g. by nohup."""
    return [signum for signum in PREEMPTING if signal.getsignal(signum) != signal.SIG_IGN]


def stopped_by(signum: int) -> BaseException:
    """Return what ends a process that has nothing to save at signal ``signum``."""
    if signum == signal.SIGINT:
        return KeyboardInterrupt()
    name = signal.Signals(signum).name
    return Preemption(f"Stopped by {name} before the work was done. Start it again.", signum)


@contextmanager
def preemptible() -> Iterator[None]:
    """End the block by ``Preemption`` at a scheduler's signal, rather than die of it.

    So it is wherever there is no step to finish first: in the start of a training, in evaluation.
    Signals that somebody else answers, such as submitit, stay theirs.

    Raises:
        Preemption: At the first signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python gives signals to the main thread alone
        return
    ours = [signum for signum in PREEMPTING if signal.getsignal(signum) == signal.SIG_DFL]
    for signum in ours:
        signal.signal(signum, preempt)
    try:
        yield
    finally:
        if ours:  # else they are those of the block around this one
            _answered.clear()
        for signum in ours:
            signal.signal(signum, signal.SIG_DFL)


def preempt(signum: int, frame: FrameType | None) -> None:
    """Handle a scheduler's signal by raising ``Preemption``, once."""
    signal.signal(signum, signal.SIG_IGN)  # timeout sends it to the process and to its group
    _answered.append(signum)
    raise stopped_by(signum)
