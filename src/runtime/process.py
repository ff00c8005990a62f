"""What a process of ours is told before torch is imported: how to wait and how to hold memory."""

import ctypes
import os
import sys

# malloc.h of glibc
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


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
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library, e.g. musl
        return False
    settings = (
        (_M_MMAP_THRESHOLD, 2**30),
        (_M_TRIM_THRESHOLD, 2**31 - 1),
        (_M_TOP_PAD, 2**26),
    )
    understood = [mallopt(option, value) == 1 for option, value in settings]
    return all(understood)


def set_large_block(size: int) -> bool:
    """Tell the C library to give back freed blocks from ``size`` bytes at once; say if it will."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL("libc.so.6").mallopt(_M_MMAP_THRESHOLD, size) == 1)
    except (OSError, AttributeError):
        return False
