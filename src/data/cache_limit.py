"""Keeps the image cache below a size: what no run uses leaves it, the longest unused first.

A process names the entries that it uses in a file under ``in_use/`` and keeps that file locked; the
system drops the lock when the process ends, however it ends. Who removes entries locks the whole
cache first, so nobody is between finding an entry and naming it. Locks are advisory (flock(2)).
"""

import fcntl
import logging
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

logger = logging.getLogger(__name__)

_ENTRIES = "??/*.npy"
_NAME = re.compile(r"\.?[0-9a-f]{64}[-.].*\.npy")
"""Only what has the name of an entry is ever removed, wherever ``cache_dir`` points."""
_IN_USE = "in_use"

_files: dict[tuple[Path, int], TextIO] = {}
"""Cache folder and process → its open, locked file; for as long as the process lives."""


@contextmanager
def filling(cache_dir: Path) -> Iterator[None]:
    """Keep all entries where they are while the block runs; several processes may do so at once."""
    with _locked(cache_dir, fcntl.LOCK_SH):
        yield


def keep(cache_dir: Path, entries: Iterable[Path]) -> None:
    """Name ``entries`` as in use by this process until it ends; call it while :func:`filling`.

    A cache that cannot be written to is used all the same: nobody can remove anything there.
    """
    names = []
    try:
        for entry in entries:
            os.utime(entry)  # its time stamp is when it was last used
            names.append(entry.name)
        if names:
            file = _file_of_this_process(cache_dir)
            file.write("\n".join([*names, ""]))
            file.flush()
    except OSError as error:
        logger.info("image cache: what is in use cannot be noted: %s", error)


def evict(cache_dir: Path, limit: int) -> None:
    """Remove entries that no process uses, the longest unused first, until ``limit`` is kept.

    While another process fills the cache nothing is removed; it will do so itself.

    Args:
        cache_dir: Root of the cache.
        limit: Size of all entries together, in bytes.
    """
    with _locked(cache_dir, fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
        if alone:
            _evict(cache_dir, limit)


def _evict(cache_dir: Path, limit: int) -> None:
    found = [(entry, entry.stat()) for entry in _entries(cache_dir)]
    held = sum(stat.st_size for _, stat in found)
    used = _names_in_use(cache_dir)
    removed, before = 0, held
    for entry, stat in sorted(found, key=lambda pair: pair[1].st_mtime_ns):
        half_made = entry.name.startswith(".")  # by a process that was killed: nobody fills now
        if half_made or (held > limit and entry.name not in used):
            entry.unlink(missing_ok=True)
            held -= stat.st_size
            removed += 1
    if removed:
        logger.info(
            "image cache: %d images that no run uses removed, %.2f GB; it holds %.2f GB "
            "(data.cache_limit_gb=%g)",
            *(removed, (before - held) / 1e9, held / 1e9, limit / 1e9),
        )
    if held > limit:
        logger.info(
            "image cache: %.2f GB are in use, above data.cache_limit_gb=%g; nothing in use is "
            "removed. Raise the limit, or put the cache on another disk with data.cache_dir=…",
            *(held / 1e9, limit / 1e9),
        )


def _entries(cache_dir: Path) -> Iterator[Path]:
    return (entry for entry in cache_dir.glob(_ENTRIES) if _NAME.fullmatch(entry.name))


def _names_in_use(cache_dir: Path) -> set[str]:
    """Return what living processes have named; forget the dead ones."""
    names: set[str] = set()
    for path in (cache_dir / _IN_USE).glob("*.txt"):
        with path.open() as file:
            if _lock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB):
                path.unlink(missing_ok=True)  # nobody else holds the lock
            else:
                names.update(file.read().split())
    return names


def _file_of_this_process(cache_dir: Path) -> TextIO:
    place = (cache_dir, os.getpid())  # a fork inherits the dictionary, but is a process of its own
    if place not in _files:
        path = cache_dir / _IN_USE / f"{os.getpid()}-{secrets.token_hex(4)}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
        _files[place] = file
    return _files[place]


@contextmanager
def _locked(cache_dir: Path, operation: int) -> Iterator[bool]:
    """Lock the folder itself while the block runs; yield whether that was possible."""
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        folder = os.open(cache_dir, os.O_RDONLY)
    except OSError:  # writing an entry will say why
        yield False
        return
    try:
        yield _lock(folder, operation)
    finally:
        os.close(folder)


def _lock(file: int, operation: int) -> bool:
    try:
        fcntl.flock(file, operation)
    except OSError:  # held by another, or a file system without locks: then nothing is removed
        return False
    return True
