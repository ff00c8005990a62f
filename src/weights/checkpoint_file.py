"""Checkpoint files: read without running code, checked against the sums in them."""

import pickle
import re
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from src.core.errors import CheckpointError
from src.core.files import name_aside

LAST = "last.ckpt"
PREVIOUS = "previous.ckpt"
"""What LAST was before, for the case that LAST is damaged."""

BEST = "best.ckpt"

KEY = "restoration"
"""The entry of a checkpoint that holds its configuration, version and commit."""

FORMAT = 1

_NO_ARCHIVE = (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError, struct.error)
"""What zipfile raises of a damaged file: a flipped bit may be in a name, a flag or a size."""

_OF_A_FOLDER = 0x10


def set_aside(path: Path) -> Path:
    """Rename a damaged file, so that nothing overwrites it; return its new name."""
    aside = name_aside(path)
    path.rename(aside)
    return aside


def read(path: Path) -> dict[str, Any]:
    """Return the dictionary in a checkpoint file, on the CPU; nothing in the file can run code.

    Raises:
        CheckpointError: If the file is missing, truncated, no checkpoint, or needs code to load.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such checkpoint file.")
    _refuse_packed(path)
    try:
        with warnings.catch_warnings():  # torch's word on TorchScript, which is refused below
            warnings.filterwarnings("ignore", message=".*TorchScript")
            content = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
    except MemoryError:
        raise
    except Exception as error:  # what of Python's a made-up pickle raises has no end
        if not (isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error)):
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise CheckpointError(
                f"{path}: damaged or truncated ({reason}); copy or download it again."
            ) from error
        # Nothing of torch's own words: they say how to load it nevertheless.
        raise CheckpointError(
            f"{path}: refused, because loading it could run code or it is no checkpoint"
            f"{_asked_for(error)}. Only tensors and plain containers are accepted; ask for a "
            "state dict or a .safetensors file."
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{path}: holds a {type(content).__name__}, not a dictionary of tensors."
        )
    return content


def _refuse_packed(path: Path) -> None:
    """Refuse a zip that torch cannot have written: it packs no part, and reads each whole.

    Of a part that is a folder it would return what happens to be in memory.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except _NO_ARCHIVE:
        return  # of another format, or torch says what is wrong
    if any(part.external_attr & _OF_A_FOLDER for part in parts):
        raise CheckpointError(f"{path}: damaged (a part of it says that it is a folder).")
    unpacked = sum(part.file_size for part in parts)
    if unpacked > path.stat().st_size:
        raise CheckpointError(
            f"{path}: refused, because it unpacks to {unpacked:,} bytes and is smaller itself; no "
            "program writes weights so. Ask for another copy."
        )


def check_whole(path: Path) -> None:
    """Compare a checkpoint that torch has written with the checksums in it.

    torch does not look at them itself: a flipped bit would be a wrong weight without a word.

    Raises:
        CheckpointError: If a part differs.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            wrong = archive.testzip()
    except _NO_ARCHIVE as error:
        raise CheckpointError(f"{path}: damaged or truncated ({error}).") from error
    if wrong is not None:
        raise CheckpointError(f"{path}: damaged (the checksum of its part {wrong} is wrong).")


def _asked_for(error: Exception) -> str:
    match = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f": it asks for {match[1]}" if match else ""
