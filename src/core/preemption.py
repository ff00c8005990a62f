"""The machine is wanted back: how a scheduler says so, and how a process then ends."""

import signal

PREEMPTING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
"""``scancel`` and preemption send the first, ``#SBATCH --signal`` what it names, submitit the
third; the last comes when the terminal or the connection is closed."""

EXIT_AGAIN = 75
"""Exit status that asks to be started again, that of ``sysexits.h`` for a temporary failure."""


class Preemption(BaseException):
    """Training has stopped because the machine is wanted back; everything is saved.

    Like KeyboardInterrupt no error, so that nothing that handles errors takes it for one.

    Args:
        message: What happened and how to go on.
        signum: The signal that asked for it, of ``PREEMPTING``.
    """

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.signum = signum

    @property
    def exit_status(self) -> int:
        """75 after a warning; 143 after SIGTERM, maybe ``scancel``; 129 after SIGHUP."""
        final = (signal.SIGTERM, signal.SIGHUP)
        return 128 + self.signum if self.signum in final else EXIT_AGAIN


def heeded() -> list[int]:
    """Return those of ``PREEMPTING`` that this process was not told to ignore, e.g. by nohup."""
    return [signum for signum in PREEMPTING if signal.getsignal(signum) != signal.SIG_IGN]
