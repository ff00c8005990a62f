"""The one way in which a settled job starts, whatever has started this process."""

from src.runtime.distributed.exchange import publish
from src.runtime.distributed.group import run_group
from src.runtime.distributed.job import Job
from src.runtime.distributed.member import take_part
from src.runtime.distributed.outcome import forget_outcomes, result_of
from src.runtime.distributed.place import here


def carry_out(job: Job) -> float:
    """Run ``job`` in this process, in a new group of processes, or in the group this one is in.

    Raises:
        ExemplarError, ProcessFaultError, KeyboardInterrupt: What stopped it.
    """
    place = here()
    if place.starter is not None:
        job.freeze()
        forget_outcomes(job.place)
        publish(place, job)
        return result_of(take_part(job, place.rank))
    return job.call() if job.processes == 1 else run_group(job)
