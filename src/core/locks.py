"""One process at a time in a folder, which it knows by more than its name."""

import fcntl
import os
import socket
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from src.core.errors import DataError

LOCK = ".lock"
"""Name of the file that a process in a folder keeps locked; there is none when it has ended."""

_ours: set[Path] = set()
"""The folders that this process has for itself."""


class InUseError(DataError):
    """Another process has the folder for itself."""


@contextmanager
def alone_in(folder: Path, *, busy: str, unusable: str) -> Iterator[None]:
    """Keep ``folder`` for this process; the system releases it however the process ends.

    The lock is POSIX's and not flock's, which loader processes would inherit and keep for seconds
    after a kill. Where a file system has no locks, nothing is checked. A part of what this process
    does there may ask for it again.

    Args:
        folder: Made when missing.
        busy: Message where another process has it, with the fields {folder} and {holder}.
        unusable: Message where it cannot be written, with the fields {folder} and {reason}.

    Raises:
        InUseError: If another process is there.
        DataError: If the folder cannot be written.
    """
    path, own = folder / LOCK, folder.resolve()
    if own in _ours:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _locked(path, busy)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
    except OSError as error:
        raise DataError(unusable.format(folder=folder, reason=error.strerror)) from error
    _ours.add(own)
    try:
        yield
    finally:
        _ours.remove(own)
        if _is_at(file, path):
            path.unlink()  # before the lock is released: nobody can have locked it
        file.close()


def is_taken(folder: Path) -> bool:
    """Say whether another process has ``folder`` for itself now."""
    try:
        with (folder / LOCK).open("r+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:  # no lock, or a file system without locks
        return False
    return False


class OwnFolder:
    """A folder that is there now; another one that takes its name later is not it.

    Raises:
        OSError: If it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY)  # open: no new folder gets its number
        weakref.finalize(self, os.close, self._descriptor)

    def check(self) -> None:
        """See that the path still leads to it; call it before anything is written there.

        Raises:
            DataError: If it was moved or removed.
        """
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(self._descriptor), self.path.stat()):
                return
        raise DataError(
            f"The run folder {self.path} was moved or removed while the run was going on; nothing "
            "was written to what is there now. Go on with it where it is: resume=<its folder>."
        )


def _locked(path: Path, busy: str) -> TextIO:
    """Return the open, locked file at ``path``."""
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise InUseError(busy.format(folder=path.parent, holder=holder)) from error
        except OSError:  # a file system without locks
            return file
        if _is_at(file, path):
            return file
        file.close()  # the process that had it has just removed it


def _is_at(file: TextIO, path: Path) -> bool:
    """Say whether ``path`` leads to the open ``file``, and not to nothing or a later one."""
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())
