"""Files that are either whole or not there."""

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from src.core.errors import DataError
from src.core.paths import shown
from src.core.redact import without_passwords

LONGEST = 255
"""Bytes of a file name, on every file system in use."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{16}\.tmp(\..*)?")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block succeeds.

    Several processes may write the same ``path`` at once: the last one wins, readers see one whole
    file or the other. When the block fails, a full disk included, nothing is left behind. The
    folder is made when missing.

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


@contextlib.contextmanager
def written(path: Path, advice: str) -> Iterator[None]:
    """Say of what the user has asked for that it cannot be written; its folder is made.

    Raises:
        DataError: In place of what the system raises.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{shown(path)} cannot be written: {reason}. {advice}") from error


def write_text(path: Path, text: str) -> None:
    """Write ``text`` without passwords, whole or not at all; OSError as from the system."""
    with replacing(path) as temporary:
        temporary.write_text(without_passwords(text), encoding="utf-8")


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401
    """Write ``content`` indented, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, allow_nan=True) + "\n")


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write a table, whole or not at all; no spreadsheet takes a name in it for a formula."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [_as_data(cell) for cell in row] for row in rows
    )
    write_text(path, text.getvalue())


def _as_data(cell: object) -> object:
    """Return a text that begins as a formula does behind an apostrophe, which spreadsheets hide."""
    if not isinstance(cell, str) or not cell.startswith(_FORMULA):
        return cell
    with contextlib.suppress(ValueError):
        float(cell)
        return cell
    return f"'{cell}"


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
