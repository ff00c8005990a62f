"""The one way in which a settled job starts, whatever has started this process."""

from collections.abc import Callable
from dataclasses import replace

from src.app.processes.exchange import publish
from src.app.processes.group import run_group
from src.app.processes.job import Job, name_of
from src.app.processes.member import take_part
from src.app.processes.outcome import forget_outcomes, result_of
from src.app.processes.place import here


def carry_out(function: Callable[[Job], float], job: Job) -> float:
    """Do ``function`` of ``job`` here, in new processes, or in the group that this one is in.

    Raises:
        ExemplarError, ProcessFaultError, KeyboardInterrupt: What stopped it.
    """
    job = replace(job, target=name_of(function))
    place = here()
    if place.starter is not None:
        job.freeze()
        forget_outcomes(job.place)
        publish(place, job)
        return result_of(take_part(job, place.rank))
    return function(job) if job.processes == 1 else run_group(job)
