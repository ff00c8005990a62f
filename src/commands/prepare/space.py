"""Is there room: asked before gigabytes are written, and explained when there was none."""

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from src.core.errors import DataError

MARGIN = 16_000_000
"""Bytes that are left free, for the manifest and for others."""


def check_space(folder: Path, needed: int, what: str) -> None:
    """Refuse to begin what will not fit.

    Args:
        folder: Where it goes; it, or a parent of it, exists.
        needed: Bytes.
        what: What needs them, for the message.

    Raises:
        DataError: If fewer bytes are free, with both numbers.
    """
    place = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    if needed + MARGIN > free:
        raise DataError(
            f"There is no room for {what}: {needed / 1e9:,.3f} GB are needed and {free / 1e9:,.3f} "
            f"GB are free on the disk of {place}.\n"
            "  Make room, or take another disk: paths.data_dir=<folder>."
        )


@contextlib.contextmanager
def explain_full_disk(folder: Path) -> Iterator[None]:
    """Say in plain words that ``folder`` cannot be written.

    Raises:
        DataError: In place of any OSError.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        why = "the disk is full" if full else (error.strerror or str(error))
        raise DataError(
            f"{folder} cannot be written: {why}.\n"
            "  Make room, or take another place: paths.data_dir=<folder>."
        ) from error
