"""Freed memory on the CPU: kept by the C library for reuse, or given back to the system.

Only glibc on Linux is told anything; elsewhere these functions do nothing and say so. No torch is
imported here, because processes are told before it is.
"""

import ctypes
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

# None has no mallopt either, as another C library, e.g. musl, has none.
_GLIBC: Any = None
if sys.platform.startswith("linux"):
    with suppress(OSError):
        _GLIBC = ctypes.CDLL("libc.so.6")

# malloc.h of glibc
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3

_EACH = 2**16
"""Blocks from this size on are what tensors of images are made of."""

_REUSED = 2**25
"""Blocks of loops are below this."""

_large_block = [2**17]  # glibc's own choice, and then what it was told last


def tell_malloc(settings: Mapping[int, int]) -> bool:
    """Give glibc's allocator options and values; return whether it has understood them all."""
    if not hasattr(_GLIBC, "mallopt"):
        return False
    understood = [_GLIBC.mallopt(*setting) == 1 for setting in settings.items()]
    if all(understood):
        _large_block[0] = settings[MMAP_THRESHOLD]
    return all(understood)


def set_large_block(size: int) -> bool:
    """Give back freed blocks from ``size`` bytes on at once; return whether that is possible."""
    return tell_malloc({MMAP_THRESHOLD: size})


@contextmanager
def given_back_at_once() -> Iterator[None]:
    """Let freed tensors leave the process while this lasts, so that its size is what is in use.

    Else a freed block lies among used ones, where what comes next may not fit, and both count.
    Blocks that were kept before are still reused.
    """
    with _large_from(_EACH):
        yield


@contextmanager
def kept_for_reuse() -> Iterator[None]:
    """Keep freed tensors while this lasts: for loops that make the same small ones at each turn.

    Where each turn gives back what it has made, the system zeroes new pages for the next, which
    takes longer than the work itself.
    """
    with _large_from(max(_REUSED, _large_block[0])):
        yield


@contextmanager
def _large_from(size: int) -> Iterator[None]:
    before = _large_block[0]
    set_large_block(size)
    try:
        yield
    finally:
        set_large_block(before)


def give_back_freed() -> bool:
    """Give back all memory that is free by now; return whether that is possible."""
    trims = hasattr(_GLIBC, "malloc_trim")
    if trims:
        _GLIBC.malloc_trim(0)
    return trims
