"""One training at a time in a run folder."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from src.core.errors import DataError

LOCK = ".lock"
"""Name of the file that a running training holds locked; there is none when it has ended."""


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process; the system lets go of it however the process ends.

    The lock is POSIX's and not flock's, which loader processes would inherit and hold on to for
    seconds after a kill. Where a file system has no locks, nothing is checked.

    Raises:
        DataError: If another process trains there, or the folder cannot be written.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _locked(path)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
    except OSError as error:
        raise DataError(
            f"The run folder {folder} cannot be written: {error.strerror}. "
            "Set paths.output_root to a folder that can."
        ) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held, so that nobody can have locked it
        file.close()


def _locked(path: Path) -> TextIO:
    """Return the open, locked file at ``path``."""
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise DataError(
                f"{path.parent} is in use: {holder} trains there. Wait for it to end, or stop it; "
                "two of them would overwrite each other's checkpoints."
            ) from error
        except OSError:  # a file system without locks
            return file
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
        file.close()  # its last holder has just removed it
