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

_SMALL_SPARE = 2**17
"""What the heap takes beyond what is asked of it, for the next block: glibc's own choice."""

_told = {MMAP_THRESHOLD: 2**17, TOP_PAD: _SMALL_SPARE}  # by glibc itself, and then by us


def tell_malloc(settings: Mapping[int, int]) -> bool:
    """Give glibc's allocator options and values; return whether it has understood them all."""
    if not hasattr(_GLIBC, "mallopt"):
        return False
    understood = [_GLIBC.mallopt(*setting) == 1 for setting in settings.items()]
    if all(understood):
        _told.update(settings)
    return all(understood)


@contextmanager
def given_back_at_once() -> Iterator[None]:
    """Let freed tensors leave the process while this lasts, so that its size is what is in use.

    Else a freed block lies among used ones, where what comes next may not fit, and both count. The
    heap then grows without a large spare, where such blocks would find room. Blocks that were kept
    before are still reused.
    """
    with _told_for_now({MMAP_THRESHOLD: _EACH, TOP_PAD: _SMALL_SPARE}):
        yield


@contextmanager
def kept_for_reuse() -> Iterator[None]:
    """Keep freed tensors while this lasts: for loops that make the same small ones at each turn.

    Where each turn gives back what it has made, the system zeroes new pages for the next, which
    takes longer than the work itself.
    """
    with _told_for_now({MMAP_THRESHOLD: max(_REUSED, _told[MMAP_THRESHOLD])}):
        yield


@contextmanager
def _told_for_now(settings: Mapping[int, int]) -> Iterator[None]:
    before = {option: _told[option] for option in settings}
    tell_malloc(settings)
    try:
        yield
    finally:
        tell_malloc(before)


def give_back_freed() -> bool:
    """Give back all memory that is free by now; return whether that is possible."""
    trims = hasattr(_GLIBC, "malloc_trim")
    if trims:
        _GLIBC.malloc_trim(0)
    return trims
