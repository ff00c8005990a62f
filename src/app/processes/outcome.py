"""What each process of a job leaves when it ends: a small file beside the frozen job."""

import json
import logging.config
import math
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from src.app.processes.job import Job
from src.app.processes.user_errors import as_user_error, whose_code
from src.core.errors import ConfigError, DataError, ExemplarError
from src.core.preemption import EXIT_AGAIN, Preemption
from src.core.redact import without_passwords

DONE, REFUSED, FAILED, FAULT, INTERRUPTED = "done", "refused", "failed", "fault", "interrupted"
PREEMPTED, ALONE = "preempted", "alone"

EXIT = {DONE: 0, REFUSED: 2, FAILED: 1, FAULT: 1, INTERRUPTED: 130, PREEMPTED: EXIT_AGAIN, ALONE: 1}
"""Exit status of a process by how it ended, as ``src.commands.cli.launch`` has them."""

LOST_SIGNS = (
    "Timed out waiting",  # gloo: nothing came for the time of trainer.strategy.patience_s
    "Connection closed by peer",  # gloo: the process at the other end is gone
    "Connection reset by peer",
    "Connection timed out",
    "Broken pipe",
    "NCCL communicator was aborted",
    "Socket Timeout",  # the key-value store
    "wait timeout",  # the key-value store
)
"""Parts of the RuntimeErrors by which torch says that other processes of a group do not answer."""


@dataclass(frozen=True)
class Outcome:
    """How one process ended."""

    rank: int  # the process
    digest: str  # of the job that it read
    # ``done``, ``refused`` (the configuration cannot work), ``failed`` (another error that a user
    # may meet), ``fault`` (of the program), ``interrupted``, ``preempted`` (the machine is wanted
    # back) or ``alone`` (the other processes do not answer any more).
    status: str
    score: float | None = None  # what the job returned; None where it returned nothing or NaN
    message: str = ""  # the error; of a fault the traceback
    signum: int = 0  # the signal that preempted it
    whose: str = ""  # in words, whose code a fault is in; empty for this program's

    def write(self, place: Path) -> None:
        """Write the outcome into the folder ``place``.

        Raises:
            DataError: If this process cannot write there, as the first one could.
        """
        path = _file(place, self.rank)
        try:
            text = without_passwords(json.dumps(asdict(self), indent=2))
            path.write_text(text + "\n", encoding="utf-8")  # into no folder that is not there
        except OSError as error:
            raise DataError(
                f"Process {self.rank} ended as {self.status!r} and cannot write {path}: "
                f"{error.strerror}. The folder must be on a disk that all machines share "
                f"(paths.output_root). {self.message}"
            ) from error


def read_outcome(place: Path, rank: int) -> Outcome | None:
    """Return what process ``rank`` left, or None where it left nothing."""
    path = _file(place, rank)
    if not path.is_file():
        return None
    return Outcome(**json.loads(path.read_text(encoding="utf-8")))


def forget_outcomes(place: Path) -> None:
    """Remove what the processes of an earlier start left."""
    for path in place.glob("rank_*"):
        path.unlink()


def take_part(job: Job, rank: int) -> Outcome:
    """Do the part of process ``rank``; leave the process group in whatever way it ended."""
    if rank == 0:  # speaks as a process that is alone does, on the console and in the log file
        logging.config.dictConfig(job.hydra["job_logging"])
    try:
        return perform(job, rank)
    finally:
        dist = sys.modules.get("torch.distributed")  # a job without torch has no process group
        if dist is not None and dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()


def perform(job: Job, rank: int) -> Outcome:
    """Do the part of process ``rank``; whatever happens is written down and returned."""
    digest = job.digest()
    try:
        score = job.call()
    except KeyboardInterrupt:
        outcome = Outcome(rank, digest, INTERRUPTED)
    except SystemExit as stop:
        if not isinstance(stop.__context__, KeyboardInterrupt):  # as which Lightning raises it
            raise
        outcome = Outcome(rank, digest, INTERRUPTED)
    except Preemption as stop:
        outcome = Outcome(rank, digest, PREEMPTED, message=str(stop), signum=stop.signum)
    except Exception as error:
        # Not handled but handed on: whoever waits for this process raises it again.
        outcome = _of_error(error, job, rank)
    else:
        outcome = Outcome(rank, digest, DONE, score=score if math.isfinite(score) else None)
    outcome.write(job.place)
    return outcome


def _of_error(error: Exception, job: Job, rank: int) -> Outcome:
    known = as_user_error(error)
    if known is not None:
        status = REFUSED if isinstance(known, ConfigError) else FAILED
        return Outcome(rank, job.digest(), status, message=str(known))
    lost = lost_partner(error)
    if lost is not None:
        message = (
            f"Process {rank} has no answer from the others any more ({lost}): a machine or its "
            f"network is gone, or a process has ended. What {job.folder} holds is whole; when all "
            "can be reached again, start the command again, or go on with a training by "
            f"resume={job.folder}."
        )
        return Outcome(rank, job.digest(), ALONE, message=message)
    whose = whose_code(error, job.config) or ""
    return Outcome(rank, job.digest(), FAULT, message=traceback.format_exc(), whose=whose)


def lost_partner(error: BaseException) -> str | None:
    """Return torch's reason if ``error`` says that another process does not answer, else None."""
    if not isinstance(error, RuntimeError):
        return None
    lines = str(error).splitlines()
    return next((line.strip() for line in lines if any(sign in line for sign in LOST_SIGNS)), None)


class ProcessFaultError(Exception):
    """A fault in one of several processes, with that process's traceback.

    Args:
        text: The process, and its traceback.
        whose: In words, whose code it is in; None for this program's.
    """

    def __init__(self, text: str, whose: str | None) -> None:
        super().__init__(text)
        self.whose = whose


def result_of(outcome: Outcome) -> float:
    """Return the score of the process that reports, or raise what it met.

    Raises:
        ConfigError: If the configuration cannot work.
        ExemplarError: If something else stopped it that a user may meet.
        ProcessFaultError: If the program is at fault.
        KeyboardInterrupt: If it was interrupted.
        Preemption: If a scheduler wants the machine back.
    """
    if outcome.status == DONE:
        return math.nan if outcome.score is None else outcome.score
    if outcome.status == INTERRUPTED:
        raise KeyboardInterrupt
    if outcome.status == REFUSED:
        raise ConfigError(outcome.message)
    if outcome.status == PREEMPTED:
        raise Preemption(outcome.message, outcome.signum)
    if outcome.status in {FAILED, ALONE}:
        raise ExemplarError(outcome.message)
    raise ProcessFaultError(f"in process {outcome.rank}:\n{outcome.message}", outcome.whose or None)


def _file(place: Path, rank: int) -> Path:
    return place / f"rank_{rank}.json"
