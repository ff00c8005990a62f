"""What a process of ours is told before torch is imported: how to wait, hold memory, and print."""

import os
import threading
import time

from src.app.processes.output import keep_going_without_output
from src.core.heap import keep_blocks


def prepare_process() -> None:
    """Make this process fit for long work; call it before importing torch.

    Waiting threads spin shortly, freed memory is reused, and output may go away.

    OpenMP threads that spin for long starve each other where processors are shared, and ones that
    do not spin are slow to wake (docs/decisions/0009-short-spinning.md). What the user has set
    stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    keep_freed_memory()
    keep_going_without_output()


def keep_freed_memory() -> bool:
    """Tell the C library to reuse freed blocks of up to 1 GiB; return whether it understood.

    Attention on the CPU makes and drops results of tens of megabytes each step. glibc returns such
    blocks to the system at once, and the kernel then zeroes new pages for the next result
    (docs/decisions/0004-keep-freed-memory.md).

    Does nothing but on Linux with glibc. Peak memory does not change, but it is not given back.
    """
    return keep_blocks(up_to=2**30)


def end_with_parent() -> None:
    """Let this process end within a second after the one that has started it is gone.

    Nobody could stop it any more, and it would hold its devices and its run folder. The steps since
    the last checkpoint are lost, as in any kill.
    """
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
