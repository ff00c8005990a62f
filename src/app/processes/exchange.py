"""Processes that torchrun or srun has started: the first settles the job, the others follow."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING

from src.app.processes.job import Job, parse, restore_hydra
from src.app.processes.outcome import EXIT, take_part
from src.app.processes.place import PATIENCE, SLURM, Place
from src.core.errors import ConfigError, ExemplarError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

_KEY = "exemplar/job"
_NOTHING = ""
_held: list["Store"] = []  # the first process's store must live as long as the process


def follow(place: Place, patience: timedelta) -> int:
    """Wait for the first process to settle the job, do this one's part, return the exit status."""
    job = receive(place, patience)
    if job is None:  # the first one has said why
        return 0
    restore_hydra(job.hydra)
    outcome = take_part(job, place.rank)
    if outcome.message:
        print(f"process {place.rank}: {outcome.message}", file=sys.stderr)
    return EXIT[outcome.status]


@contextmanager
def leading(place: Place) -> Iterator[None]:
    """Let the others go when the first process ends without having settled a job."""
    try:
        yield
    except BaseException:
        with suppress(ExemplarError):  # if they cannot be told either, the first error says more
            publish(place, None)
        raise
    publish(place, None)


def refuse_sweep(place: Place) -> None:
    """Refuse a sweep where processes were started with it.

    Raises:
        ConfigError: Naming who has started them.
    """
    if place.starter is not None:
        raise ConfigError(
            f"A sweep under {place.starter}: each job of -m starts its own processes, so start it "
            "with python -m src.train -m … trainer=ddp (or ddp_cpu)."
        )


def publish(place: Place, job: Job | None) -> None:
    """Hand the job to the other processes; with None they may go. Only the first call counts.

    Raises:
        ExemplarError: If this process cannot listen at the address that the others know.
    """
    if _held:
        return
    try:
        store = _store(place)
    except RuntimeError as error:
        raise ExemplarError(
            f"Process 0 of {place.world} cannot open {os.environ.get('MASTER_ADDR')}:"
            f"{os.environ.get('MASTER_PORT')} for the others ({str(error).splitlines()[0]}). "
            "MASTER_ADDR must be an address of this machine; python -m src.doctor says more."
        ) from error
    _held.append(store)
    store.set(_KEY, _NOTHING if job is None else job.text())


def receive(place: Place, patience: timedelta = PATIENCE) -> Job | None:
    """Wait for the job from the first process; None where there is none.

    Raises:
        ExemplarError: If it does not come, with what to look at.
    """
    if place.starter == SLURM:
        translate_slurm(place)
    answers: Queue[str | Exception] = Queue()
    # Beside this thread, because torch waits without end where another program holds the port,
    # which accepts the connection and never answers.
    Thread(target=_ask, args=(place, patience, answers), daemon=True).start()
    try:
        answer = answers.get(timeout=patience.total_seconds())
    except Empty as error:
        raise _no_word(place, patience) from error
    if isinstance(answer, ExemplarError):
        raise answer
    if isinstance(answer, Exception):
        raise _no_word(place, patience) from answer
    return parse(answer) if answer != _NOTHING else None


def _ask(place: Place, patience: timedelta, answers: Queue[str | Exception]) -> None:
    try:
        answers.put(_store(place, patience).get(_KEY).decode())
    except (RuntimeError, ExemplarError) as error:
        answers.put(error)


def _no_word(place: Place, patience: timedelta) -> ExemplarError:
    return ExemplarError(
        f"Process {place.rank} of {place.world} had no word from the first one at "
        f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')} for {patience}. "
        "See what that one says; can the machines reach each other on that port, and does no other "
        "program hold it?"
    )


def _store(place: Place, patience: timedelta = PATIENCE) -> "Store":
    """Return the key-value store of the group, the one that the process group will use too."""
    # only now: it takes seconds
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # public, not declared
    from torch.distributed.rendezvous import rendezvous

    if place.starter == SLURM:
        translate_slurm(place)
    store: Store
    try:
        if place.starter == SLURM and place.rank == 0:
            # As rendezvous does, but without waiting here for the others, who may never come:
            # whoever joins the group next waits as long as the user has said.
            address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
            return TCPStore(
                *(address, port, place.world),
                is_master=True,
                timeout=patience,
                wait_for_workers=False,
                multi_tenant=True,
            )
        store, _, _ = next(rendezvous("env://", place.rank, place.world, timeout=patience))
    except RuntimeError as error:
        if "EADDRINUSE" not in str(error):
            raise
        raise ExemplarError(
            f"The port MASTER_PORT={os.environ.get('MASTER_PORT')} is in use on this machine, so "
            "that the processes of this run cannot meet there. Choose another, e.g. torchrun "
            "--master-port=29511, or end what holds it."
        ) from error
    return store


def translate_slurm(place: Place) -> None:
    """Say in torchrun's variables what srun says in its own: one way to be placed is enough."""
    # imported where SLURM is used: Lightning takes seconds
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

    nodes = os.environ.get("SLURM_STEP_NODELIST", os.environ.get("SLURM_NODELIST", "127.0.0.1"))
    port = 15000 + int(os.environ.get("SLURM_JOB_ID", "0")) % 10000  # known to all, rarely taken
    os.environ.setdefault("MASTER_ADDR", SLURMEnvironment.resolve_root_node_address(nodes))
    os.environ.setdefault("MASTER_PORT", str(port))
    os.environ["RANK"], os.environ["WORLD_SIZE"] = str(place.rank), str(place.world)
    os.environ["LOCAL_RANK"] = os.environ["SLURM_LOCALID"]
    os.environ["LOCAL_WORLD_SIZE"] = str(place.local_world)
    os.environ["GROUP_RANK"] = os.environ["SLURM_NODEID"]
