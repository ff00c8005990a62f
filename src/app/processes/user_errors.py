"""Which errors are a user's to mend, running out of something included, and what to say of them."""

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.errors import InstantiationException

from src.core.errors import ConfigError, ExemplarError

_DISK = {
    errno.EACCES: "give this user the right to it, or choose another folder",
    errno.ENOSPC: "make room there, or choose another disk with paths.output_root",
    errno.EDQUOT: "make room there, or choose another disk with paths.output_root",
    errno.EROFS: "choose a folder that can be written, with paths.output_root",
    errno.EIO: "look at the disk, or choose another with paths.output_root",
    errno.EMFILE: "allow more open files (ulimit -n), or lower data.workers",
}

_GO_ON = "Checkpoints are untouched; a training goes on with resume=<run folder>."


def as_user_error(error: Exception) -> ExemplarError | None:
    """Return the error that a user is to read, or None where the program is at fault.

    A constructor refuses a value with ValueError; Hydra wraps that, and names the node.
    """
    if isinstance(error, ExemplarError):
        return error
    lacking = shortage(error)
    if lacking is not None:
        return ExemplarError(lacking)
    if isinstance(error, InstantiationException):
        cause = error.__cause__
        if isinstance(cause, ExemplarError):
            return ConfigError(str(cause))
        if isinstance(cause, ValueError) or _is_lightning_refusal(cause):
            key = str(error).rpartition("full_key: ")[2].strip()
            return ConfigError(f"{key}: {cause}" if key else str(cause))
    return ConfigError(str(error)) if _is_lightning_refusal(error) else None


def _is_lightning_refusal(error: BaseException | None) -> bool:
    # by name, because importing Lightning takes seconds and need not have happened
    return type(error).__name__ == "MisconfigurationException"


def shortage(error: BaseException) -> str | None:
    """Return the sentence for an error of this kind, or None for any other.

    Args:
        error: As torch, the data loader or the system has raised it.
    """
    text = " ".join(str(error).split())
    if _is_memory(error, text):
        return (
            f"Out of memory ({_short(text)}). Lower data.batch_size or data.patch_size, share the "
            f"batch out with trainer.accumulate_grad_batches, or set recompute=true. {_GO_ON}"
        )
    if "DataLoader worker" in text or _is_cut_off(error):
        return (
            f"A loader process is gone ({_short(text)}). It may have run out of memory: lower "
            f"data.workers or data.batch_size. {_GO_ON}"
        )
    if isinstance(error, OSError) and error.errno in _DISK:
        what = error.filename or "A file"
        return f"{what}: {error.strerror}; {_DISK[error.errno]}. {_GO_ON}"
    return None


@contextmanager
def shortages_said() -> Iterator[None]:
    """Turn an error of this kind, or what it has caused, into a sentence while the block runs.

    Hydra makes the folder of a job and opens its log file; logging reports what stops it there as
    ValueError.

    Raises:
        ExemplarError: With the sentence.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        link: BaseException | None = error
        while link is not None and shortage(link) is None:
            link = link.__cause__ or link.__context__
        if link is None:
            raise
        raise ExemplarError(shortage(link)) from error


def _is_memory(error: BaseException, text: str) -> bool:
    # by name, because importing torch takes seconds and need not have happened
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or "can't allocate memory" in text or "Cannot allocate memory" in text


def _is_cut_off(error: BaseException) -> bool:
    """Say whether a loader process ended while it was handing over a batch."""
    if not isinstance(error, OSError | EOFError):
        return False
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return any(Path(name).match("multiprocessing/connection.py") for name in files)


def _short(text: str) -> str:
    said = text.rpartition("DefaultCPUAllocator: ")[2] or "the system refused"
    return said if len(said) <= 160 else f"{said[:157]}…"
