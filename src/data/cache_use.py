"""Which entries of the image cache stay: those that were used lately."""

import contextlib
import logging
import os
import re
import time
from pathlib import Path

logger = logging.getLogger(__name__)

_IN_USE_S = 3 * 86_400
"""What was used this recently stays, whatever the limit: a run may be about to use it again."""

_NOTED_S = 3600
"""How often, at most, a use is noted, in the time stamp of the entry."""

_ENTRY = re.compile(r"\.?[0-9a-f]{64}[-.].*\.npy")
"""The name of an entry: no other file is ever removed."""


def note_use(entry: Path) -> None:
    """Give ``entry`` the time stamp of now, once an hour; FileNotFoundError if it is not there."""
    if time.time() - entry.stat().st_mtime > _NOTED_S:
        with contextlib.suppress(OSError):  # a folder that cannot be written loses no entry either
            os.utime(entry)


def evict(cache_dir: Path, limit: int) -> None:
    """Remove entries that were not used for three days until ``limit`` bytes are kept.

    The longest unused leave first. What a killed process left half-made leaves with them. A link
    is never followed: what it leads to is not of this cache.
    """
    entries: list[tuple[float, Path, int]] = []
    # Those with a dot were to become one of the others.
    folders = [*cache_dir.glob("??"), *cache_dir.glob(".????????")]
    folders = [folder for folder in folders if not folder.is_symlink()]
    files = (path for folder in folders for path in folder.glob("*.npy"))
    for path in (path for path in files if _ENTRY.fullmatch(path.name)):
        with contextlib.suppress(OSError):  # another process has just renamed or removed it
            stat = path.lstat()
            entries.append((stat.st_mtime, path, stat.st_size))
    size = before = sum(of_one for _, _, of_one in entries)
    removed = 0
    for _, path, of_one in sorted(entries):
        half_made = path.name.startswith(".") or path.parent.name.startswith(".")
        if (size > limit or half_made) and _remove_unused(path):
            size -= of_one
            removed += 1
            if path.parent.name.startswith("."):
                with contextlib.suppress(OSError):
                    path.parent.rmdir()
    if removed:
        logger.info(
            "image cache: %d images unused for three days removed, %.2f GB; it now has %.2f GB "
            "(data.cache_limit_gb=%g)",
            *(removed, (before - size) / 1e9, size / 1e9, limit / 1e9),
        )
    if size > limit:
        logger.info(
            "image cache: %.2f GB are in use, above data.cache_limit_gb=%g; what was used in the "
            "last three days is not removed. Raise the limit, or put the cache on another disk: "
            "data.cache_dir=…",
            *(size / 1e9, limit / 1e9),
        )


def _remove_unused(entry: Path) -> bool:
    """Remove ``entry`` unless it was used in the last three days; asked at the last moment."""
    try:
        if time.time() - entry.lstat().st_mtime <= _IN_USE_S:
            return False
        entry.unlink()
    except OSError:
        return False
    return True
