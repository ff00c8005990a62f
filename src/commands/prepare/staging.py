"""A folder that appears whole or not at all, and whether there is room for it on the disk."""

import contextlib
import errno
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from src.core.errors import DataError

RESERVE = 1_000_000_000
"""Bytes that a download of unknown size leaves free."""

MARGIN = 16_000_000
"""Bytes that are left free, for the manifest and for others."""


class NoRoomError(DataError):
    """The disk cannot take what is to be written; nothing else is wrong."""


def free_space(folder: Path) -> int:
    """Return the bytes that are free on the disk of ``folder``, which may be still to be made."""
    return shutil.disk_usage(_existing(folder)).free


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def check_space(folder: Path, needed: int, what: str) -> None:
    """Refuse to begin what will not fit: ``what``, of ``needed`` bytes.

    Raises:
        NoRoomError: If fewer bytes are free, with both numbers.
    """
    free = free_space(folder)
    if needed + MARGIN > free:
        raise NoRoomError(
            f"There is no room for {what}: {needed / 1e9:,.3f} GB are needed and {free / 1e9:,.3f} "
            f"GB are free on the disk of {_existing(folder)}.\n"
            "  Make room, or take another disk: paths.data_dir=<folder>."
        )


@contextlib.contextmanager
def explain_full_disk(folder: Path) -> Iterator[None]:
    """Say in plain words that ``folder`` cannot be written.

    Raises:
        NoRoomError: In place of any OSError.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        why = "the disk is full" if full else (error.strerror or str(error))
        raise NoRoomError(
            f"{folder} cannot be written: {why}.\n"
            "  Make room, or take another place: paths.data_dir=<folder>."
        ) from error


@contextlib.contextmanager
def staging(target: Path) -> Iterator[Path]:
    """Yield a new folder that takes the place of ``target`` when the block succeeds."""
    stage = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    old = stage.with_suffix(".old")
    try:
        with explain_full_disk(target.parent):
            stage.mkdir(parents=True)
            yield stage
            if target.exists():
                target.rename(old)
            stage.rename(target)
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        for folder in (stage, old):
            shutil.rmtree(folder, ignore_errors=True)


def clear_leftovers(target: Path) -> None:
    """Remove what a killed process left of ``target``, or put back what it was replacing.

    The caller has the folder for itself (``src.core.files``), so none is being written.
    """
    for old in target.parent.glob(f".{target.name}.*.old"):
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(target)
    for stage in target.parent.glob(f".{target.name}.*.tmp"):
        shutil.rmtree(stage, ignore_errors=True)
