"""The address and port at which the processes find one another."""

import errno
import os
import socket

from src.app.processes.place import SLURM, Place
from src.commands.doctor.finding import Finding, note, right, wrong

CHECK = "first address"


def check_address(place: Place, *, hosts_store: bool) -> Finding:
    """Look at ``MASTER_ADDR`` and ``MASTER_PORT`` as torchrun or srun has led to them.

    Args:
        place: This process's.
        hosts_store: Whether this process will listen there, so that the port must be free.
    """
    name, port = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "")
    if not name or not port.isdigit():
        advice = "start it by torchrun or srun, which set MASTER_ADDR and MASTER_PORT"
        return wrong(CHECK, f"MASTER_ADDR={name!r}, MASTER_PORT={port!r}", advice)
    try:
        address = socket.getaddrinfo(name, int(port), type=socket.SOCK_STREAM)[0][4][0]
    except OSError as error:
        advice = "MASTER_ADDR=<an address of the first machine>, or a line in /etc/hosts"
        return wrong(CHECK, f"{name} has no address ({error.strerror})", advice)
    if place.machines > 1 and str(address).startswith("127."):
        advice = "MASTER_ADDR=<its address in the network>; torchrun: --master-addr, --local-addr"
        return wrong(CHECK, f"{name} is {address}: no other machine reaches that", advice)
    found = f"{name} ({address}), port {port}"
    if hosts_store and not _is_free(int(port)):
        return wrong(CHECK, f"{found}, is in use", "MASTER_PORT=<another>, or end what uses it")
    return right(CHECK, found)


def check_start(place: Place) -> Finding:
    """Say who has started how many processes, and what looks like a mistake in it."""
    if place.starter is None:
        nodes = os.environ.get("SLURM_JOB_NUM_NODES", "1")
        if "SLURM_JOB_ID" in os.environ and nodes not in {"", "1"}:
            advice = "srun python -m src.doctor trainer=ddp_slurm"
            return note("started by", f"itself, in a SLURM job of {nodes} machines", advice)
        return right("started by", "itself")
    count = f"{place.world} processes, {place.local_world} on each of {place.machines} machines"
    return right("started by", f"{place.starter}: {count}")


def listens_itself(place: Place) -> bool:
    """Say whether the first process opens the port: torchrun's agent has it open already."""
    return place.leads and place.starter == SLURM


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True
