"""This process as one of several: how its output looks, and that it leaves the group."""

import logging
import logging.config
import sys

from src.app.processes.job import Job
from src.app.processes.outcome import Outcome, perform


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
