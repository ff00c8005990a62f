"""Which errors are a user's to mend, running out of something included, and what to say of them."""

import errno
import os
import re
import sys
import traceback
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf.errors import InterpolationResolutionError

from src.app.config.schema import leaves
from src.core.errors import ConfigError, ExemplarError
from src.core.paths import PACKAGE
from src.core.redact import without_passwords
from src.core.registry import locate

_LOST_TARGET = re.compile(r"Error locating target '([^']+)'")
_STDLIB = Path(os.__file__).parent

_DISK = {
    errno.EACCES: "give this user the right to it, or choose another folder",
    errno.ENOSPC: "make room there, or choose another disk with paths.output_root",
    errno.EDQUOT: "make room there, or choose another disk with paths.output_root",
    errno.EROFS: "choose a folder that can be written, with paths.output_root",
    errno.EIO: "look at the disk, or choose another with paths.output_root",
    errno.EMFILE: "allow more open files (ulimit -n), or lower data.workers",
}

_GO_ON = "Checkpoints are untouched; a training goes on with resume=<run folder>."

_OF_TRAINING = (
    "Lower data.batch_size or data.patch_size, share the batch out with "
    f"trainer.accumulate_grad_batches, or set recompute=true. {_GO_ON}"
)
_OF_RESTORING = "Take smaller tiles, e.g. inference.tile=128, or 48, or another device=…."
_LESS_MEMORY = {
    "predict": _OF_RESTORING,
    "evaluate": _OF_RESTORING,
    "explain": _OF_RESTORING,
    "export": "Take smaller sizes, check=[[height,width]].",
    "benchmark": "Take smaller sizes=[…] or batch=1.",
}
"""What helps where memory is short, by command; training elsewhere."""


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
        return _of_building(error)
    if isinstance(error, InterpolationResolutionError):
        reason = str(error).splitlines()[0].rstrip(".")
        return ConfigError(
            f"{error.full_key} cannot be worked out: {reason}. Where ${{ is part of a name, type "
            r"\${."
        )
    return ConfigError(str(error)) if _is_lightning_refusal(error) else None


def _of_building(error: InstantiationException) -> ExemplarError | None:
    """Return what a user is to read of a part that Hydra could not build."""
    cause = error.__cause__
    if isinstance(cause, ExemplarError):
        return ConfigError(str(cause))
    lost = _LOST_TARGET.match(str(error))
    if lost is not None:
        return ConfigError(
            f"{lost[1]} cannot be imported here: {_root(error)}. A component of your own must be "
            "where Python finds it: put its folder into PYTHONPATH, or install it."
        )
    key = str(error).rpartition("full_key: ")[2].strip()
    refused = isinstance(cause, ValueError) or _is_lightning_refusal(cause)
    if refused or _is_of_the_call(cause):
        return ConfigError(f"{key}: {cause}" if key else str(cause))
    if isinstance(cause, RuntimeError | ArithmeticError):  # torch's, of a number it cannot take
        what = key or "A part"
        return ConfigError(f"{what} cannot be built: {cause}. One of its values is impossible.")
    return None


def _root(error: BaseException) -> BaseException:
    """Return the first of a chain of errors."""
    cause = error.__cause__ or error.__context__
    return error if cause is None else _root(cause)


def _is_of_the_call(error: BaseException | None) -> bool:
    """Say whether Python has refused arguments, before anything was run with them."""
    trace = error.__traceback__ if isinstance(error, TypeError) else None
    return trace is not None and trace.tb_next is None


def _is_lightning_refusal(error: BaseException | None) -> bool:
    # by name, because importing Lightning takes seconds and need not have happened
    return type(error).__name__ == "MisconfigurationException"


def shortage(error: BaseException) -> str | None:
    """Return the sentence for an error of this kind, or None for any other."""
    text = " ".join(str(error).split())
    if _is_memory(error, text):
        return f"Out of memory ({_short(text)}). {_LESS_MEMORY.get(_command(), _OF_TRAINING)}"
    if "DataLoader worker" in text or _is_cut_off(error):
        return (
            f"A loader process is gone ({_short(text)}). It may have run out of memory: lower "
            f"data.workers or data.batch_size. {_GO_ON}"
        )
    if isinstance(error, OSError) and error.errno in _DISK:
        what = error.filename or "A file"
        return f"{what}: {error.strerror}; {_DISK[error.errno]}. {_GO_ON}"
    return None


def keep_traceback(folder: Path) -> str:
    """Append the traceback of the error at hand to ``crash.log`` in ``folder``; say where it is."""
    file = folder / "crash.log"
    stamp = datetime.now().astimezone().isoformat(timespec="seconds")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as log:
            text = f"{stamp}  {' '.join(sys.argv)}\n{traceback.format_exc()}\n"
            log.write(without_passwords(text))
    except OSError as failure:
        return f"({file} cannot be written: {failure})"
    return f"The traceback is also in {file}"


def shortage_behind(error: BaseException) -> str | None:
    """Return the sentence for an error of this kind, or for what has caused it; else None.

    Hydra makes the folder of a job and opens its log file; logging reports what stops it there as
    ValueError.
    """
    link: BaseException | None = error
    while link is not None and shortage(link) is None:
        link = link.__cause__ or link.__context__
    return None if link is None else shortage(link)


def _command() -> str:
    settings = HydraConfig.get() if HydraConfig.initialized() else None
    return str(settings and settings.job.config_name)


def whose_code(error: BaseException, config: object) -> str | None:
    """Return in words where an error was raised, if not in code of this program; else None.

    That is a class or function that a ``_target_`` names, such as a callback of Lightning's, or a
    file of the user's.
    """
    named = {}
    for path, dotted in leaves(config, in_lists=True):
        ours = str(dotted).startswith("src.") or path == "trainer._target_"
        if path.endswith("._target_") and not ours:
            with suppress(ConfigError):
                target = locate(str(dotted))
                named[getattr(target, "__code__", target)] = (
                    f"{path[: -len('._target_')]} ({dotted})"
                )
    cause = error.__cause__ if isinstance(error, InstantiationException) else None
    for frame, line in reversed(list(traceback.walk_tb((cause or error).__traceback__))):
        file = Path(frame.f_code.co_filename)
        if PACKAGE in file.parents:
            return None
        part = named.get(type(frame.f_locals.get("self"))) or named.get(frame.f_code)
        if part is not None:
            return part
        if file.is_file() and "site-packages" not in file.parts and _STDLIB not in file.parents:
            return f"{file}, line {line}"
    return None


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
