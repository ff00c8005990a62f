"""What a process of ours is told before torch is imported: how to wait and how to hold memory."""

import os

from src.core.heap import keep_blocks


def prepare_process() -> None:
    """Let waiting threads spin shortly and freed memory be reused; call it before importing torch.

    OpenMP threads that spin for long starve each other where processors are shared, and ones that
    do not spin are slow to wake (docs/decisions/0009-short-spinning.md). What the user has set
    stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    keep_freed_memory()


def keep_freed_memory() -> bool:
    """Tell the C library to reuse freed blocks of up to 1 GiB; return whether it understood.

    Attention on the CPU makes and drops results of tens of megabytes each step. glibc returns such
    blocks to the system at once, and the kernel then zeroes new pages for the next result
    (docs/decisions/0004-keep-freed-memory.md).

    Does nothing but on Linux with glibc. Peak memory does not change, but it is not given back.
    """
    return keep_blocks(up_to=2**30)
