"""The processes beside the first that torchrun or srun has started: they compose nothing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from src.app.processes.place import Place
from src.core.errors import ConfigError, ExemplarError


def follow(place: Place, patience: timedelta) -> int:
    """Wait for the first process to settle the job, do this one's part, return the exit status."""
    # only now, because they import torch
    from src.app.processes.exchange import receive
    from src.app.processes.job import restore_hydra
    from src.app.processes.member import take_part
    from src.app.processes.outcome import EXIT

    job = receive(place, patience)
    if job is None:  # the first one has said why
        return 0
    restore_hydra(job.hydra)
    outcome = take_part(job, place.rank)
    if outcome.message:
        print(f"process {place.rank}: {outcome.message}", file=sys.stderr)
    return EXIT[outcome.status]


@contextmanager
def leading(place: Place, *, multirun: bool) -> Iterator[None]:
    """Let the others go when the first process ends without having settled a job.

    Raises:
        ConfigError: If a sweep is started by torchrun or srun.
    """
    if place.starter is None:
        yield
        return
    from src.app.processes.exchange import publish

    try:
        _refuse_sweep(place, multirun=multirun)
        yield
    except BaseException:
        with suppress(ExemplarError):  # if they cannot be told either, the first error says more
            publish(place, None)
        raise
    publish(place, None)


def _refuse_sweep(place: Place, *, multirun: bool) -> None:
    if multirun:
        raise ConfigError(
            f"A sweep under {place.starter}: each job of -m starts its own processes, so start it "
            "with python -m src.train -m … trainer=ddp (or ddp_cpu)."
        )
