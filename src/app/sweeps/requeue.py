"""A job that a scheduler starts again goes on in its own folder; one that stops is sent on."""

import os
import signal
from pathlib import Path

from src.app.config.resume import AUTO
from src.app.sweeps.sweep import was_preempted
from src.core.preemption import preempt

RESTARTED = "EXEMPLAR_RESTARTED"
"""Variable by which a launcher says that it has started this job before; SLURM has one too. It is
set also when the machine was lost, so that the job could leave no word."""


def is_start_again(resume: str | None, folder: Path) -> bool:
    """Say whether this may be a second start of the job whose run folder is ``folder``.

    Args:
        resume: The key of that name, None or ``auto``.
        folder: It may hold a run that goes on, or nothing yet.
    """
    return resume == AUTO or told_again() or was_preempted(folder)


def told_again() -> bool:
    """Say whether a launcher or SLURM says that it has started this before."""
    return any(os.environ.get(name, "0") != "0" for name in (RESTARTED, "SLURM_RESTART_COUNT"))


def hand_on(signum: int) -> None:
    """Let whoever watched for the signal before training did have it now.

    submitit, which started the job, sends it to the queue again and ends this process.
    """
    handler = signal.getsignal(signum)
    if callable(handler) and handler is not preempt:
        handler(signum, None)
