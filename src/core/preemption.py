"""The machine is wanted back: how a scheduler says so, and how a process then ends."""

import signal

PREEMPTING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""``scancel`` and preemption send the first, ``#SBATCH --signal`` what it names, submitit the
last."""

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
        """75 where a warning asked for it; 143 after SIGTERM, as that may be ``scancel``."""
        return 128 + self.signum if self.signum == signal.SIGTERM else EXIT_AGAIN
