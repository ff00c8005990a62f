"""The last checkpoint and the one before it: a damaged file costs an interval, not the run."""

import os
import secrets
from pathlib import Path

from src.core.files import name_aside
from src.weights.names import PREVIOUS


def keep_previous(last: Path) -> None:
    """Let ``previous.ckpt`` be what ``last`` is now; call it just before ``last`` is replaced.

    A second name for the same file, so that it costs neither time nor, until ``last`` is replaced,
    space; at each moment ``last`` or both are whole. Where a file system has no second names,
    ``last`` is renamed, and for a moment only ``previous.ckpt`` is there.
    """
    if not last.is_file():
        return  # damaged and set aside, or the first one: what is there stays
    previous = last.with_name(PREVIOUS)
    name = last.with_name(f".{previous.stem}.{secrets.token_hex(8)}.tmp{previous.suffix}")
    try:
        os.link(last, name)
    except OSError:
        last.replace(previous)
    else:
        name.replace(previous)


def set_aside(path: Path) -> Path:
    """Rename a damaged file, so that nothing overwrites it; return its new name."""
    aside = name_aside(path)
    path.rename(aside)
    return aside
