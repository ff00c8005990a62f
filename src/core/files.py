"""Files that are either whole or not there, and folders with one process at a time."""

import fcntl
import hashlib
import json
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from src.core.errors import DataError

LONGEST = 255
"""Bytes of a file name, on every file system in use."""

_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{16}\.tmp(\..*)?")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block succeeds.

    Several processes may write the same ``path`` at once: the last one wins, readers see one whole
    file or the other. When the block fails, a full disk included, nothing is left behind.

    Args:
        path: The file to write; its folder is made when missing.

    Raises:
        OSError: As from the operating system.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = os.fsdecode(os.fsencode(path.stem)[:64])
    temporary = path.with_name(f".{stem}.{secrets.token_hex(8)}.tmp{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # else a power cut may leave a file of the right size, of zeros
        temporary.replace(path)
    except OSError as error:
        error.filename = str(path)  # a full disk is reported without a name
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text``, whole or not at all; OSError as from the operating system."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401
    """Write ``content`` indented, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, allow_nan=True) + "\n")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fitting_name(name: str) -> str:
    """Return a file name that file systems take: as it is, or its beginning and a hash.

    The hash is of the whole name, so that names that differ stay different.
    """
    content = os.fsencode(name)
    if len(content) <= LONGEST:
        return name
    mark = f"~{hashlib.sha256(content).hexdigest()[:16]}{Path(name).suffix[:16]}"
    beginning = content[: LONGEST - len(os.fsencode(mark))]
    return beginning.decode("utf-8", "ignore") + mark


def name_aside(path: Path) -> Path:
    """Return a free name for a damaged file: ``a.damaged.txt``, ``a.damaged-2.txt`` and so on."""
    marks = (".damaged", *(f".damaged-{number}" for number in range(2, 10_000)))
    names = (path.with_name(f"{path.stem}{mark}{path.suffix}") for mark in marks)
    return next(name for name in names if not name.exists())


def remove_leftovers(folder: Path) -> int:
    """Remove what killed processes have left half-written below ``folder``; return how many.

    Nobody else may be writing there: a file that is being written looks the same.
    """
    left = [path for path in folder.rglob(".*.tmp*") if _TEMPORARY.fullmatch(path.name)]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


LOCK = ".lock"
"""Name of the file that a process in a folder keeps locked; there is none when it has ended."""


@contextmanager
def alone_in(folder: Path, *, busy: str, unusable: str) -> Iterator[None]:
    """Keep ``folder`` for this process; the system releases it however the process ends.

    The lock is POSIX's and not flock's, which loader processes would inherit and keep for seconds
    after a kill. Where a file system has no locks, nothing is checked.

    Args:
        folder: Made when missing.
        busy: Message where another process has it, with the fields {folder} and {holder}.
        unusable: Message where it cannot be written, with the fields {folder} and {reason}.

    Raises:
        DataError: If another process is there, or the folder cannot be written.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _locked(path, busy)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
    except OSError as error:
        raise DataError(unusable.format(folder=folder, reason=error.strerror)) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # before the lock is released: nobody can have locked it
        file.close()


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
            raise DataError(busy.format(folder=path.parent, holder=holder)) from error
        except OSError:  # a file system without locks
            return file
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
        file.close()  # the process that had it has just removed it
