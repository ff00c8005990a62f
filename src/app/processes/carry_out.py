"""The one way in which a settled job starts, whatever has started this process."""

from src.app.processes.exchange import publish
from src.app.processes.group import run_group
from src.app.processes.job import Job
from src.app.processes.member import take_part
from src.app.processes.outcome import forget_outcomes, result_of
from src.app.processes.place import here


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
