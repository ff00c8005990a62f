"""What a process of ours is given before torch is imported: how to wait, hold memory, and print."""

import atexit
import codecs
import errno
import gc
import io
import logging
import os
import sys
import threading
import time
import warnings
from typing import Any

from src.app.processes.later import import_later
from src.core.errors import DataError, ExemplarError
from src.core.heap import MMAP_THRESHOLD, TOP_PAD, TRIM_THRESHOLD, tell_malloc
from src.core.paths import escape_surrogates
from src.core.redact import CleanRecord

_ESCAPED = "exemplar.escaped"

_lost: list[OSError] = []
_closed: set[str] = set()


def prepare_process() -> None:
    """Make this process fit for long work; call it before importing torch.

    Waiting threads spin shortly, freed memory is reused, and output may go away.

    OpenMP threads that spin for long starve each other where processors are shared, and ones that
    do not spin are slow to wake (docs/decisions/0009-short-spinning.md). What the user has set
    stays.

    Attention on the CPU makes and drops results of tens of megabytes each step. glibc returns such
    blocks to the system at once, and the kernel then zeroes new pages for the next result; so it
    is to reuse freed blocks of up to 1 GiB (docs/decisions/0004-keep-freed-memory.md). Peak memory
    does not change, but it is not given back. Commands that restore give it back, and so torch is
    to ask for huge pages, where the kernel grants them: zeroing small ones takes longer than the
    network (docs/decisions/0071-huge-pages.md).

    Python's garbage collector rests until ``begin_collecting``, and has nothing to look at when
    the process ends (docs/decisions/0072-no-collection-of-modules.md). What Lightning imports and
    does not use waits too (``import_later``).
    """
    import_later()
    gc.disable()
    atexit.register(gc.freeze)
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch looks at its first tensor
    tell_malloc({MMAP_THRESHOLD: 2**30, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 2**26})
    logging.setLogRecordFactory(CleanRecord)  # whatever handlers there are
    keep_going_without_output()


def begin_collecting() -> None:
    """Let the garbage collector work from now on, and leave alone what has been imported."""
    if not gc.isenabled():  # else it has begun: jobs of a sweep come here one after another
        gc.freeze()
        gc.enable()


def end_with_parent() -> None:
    """Let this process end within a second after the one that has started it is gone.

    Nobody could stop it any more, and it would hold its devices and its run folder. The steps since
    the last checkpoint are lost, as in any kill.
    """
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def quiet_lightning() -> None:
    """Silence Lightning's advice lines and the warnings that our design answers."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for pattern in (
        ".*does not have many workers.*",  # the user's choice; data_wait is logged
        ".*Total length of `list` across ranks is zero.*",  # no image to score: said by the data
        ".*LeafSpec.*",  # lightning 2.6 on torch 2.13
        ".*GPU available but not used.*",
        ".*Checkpoint directory .* exists and is not empty.*",  # resume: that is the point
        ".*Experiment logs directory .* exists and is not empty.*",
    ):
        warnings.filterwarnings("ignore", pattern)


class _Drain(io.FileIO):
    """A file whose writes do not fail: what it cannot take is dropped, and the first time noted."""

    def write(self, data: Any) -> int | None:  # type: ignore[override]  # noqa: ANN401
        """Write ``data``, or drop it."""
        try:
            return super().write(data)
        except BlockingIOError:
            raise
        except OSError as error:
            _lost.append(error)
            return len(data)


def keep_going_without_output() -> None:
    r"""Let a reader that has gone, a full disk or a closed terminal not end what is being done.

    Training has its own files, and is not to end unsaved because nobody reads its progress bar.
    File names that are not UTF-8 are printed with their bytes as ``\xe9``.
    """
    codecs.register_error(_ESCAPED, escape_surrogates)
    if None in (sys.__stdin__, sys.__stdout__, sys.__stderr__):
        _reopen_closed()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not getattr(sys, f"__{name}__"):
            if isinstance(stream, io.TextIOWrapper):  # somebody has put another in its place
                stream.reconfigure(errors=_ESCAPED)
            continue
        number = stream.fileno()
        stream.flush()
        drain = io.BufferedWriter(_Drain(number, "wb", closefd=False))
        lines = name == "stderr" or stream.line_buffering or stream.write_through  # python -u
        new = io.TextIOWrapper(drain, stream.encoding, _ESCAPED, line_buffering=lines)
        setattr(sys, name, new)


def refuse_closed_output() -> None:
    """Say so, before a result is made that is asked for on standard output, where that is closed.

    Raises:
        DataError: If who started this process has closed it.
    """
    if "stdout" in _closed:
        raise DataError("output=-: standard output is closed. Name a file, output=<file>.")


def refuse_lost_results() -> None:
    """Say so where the results that a command printed did not arrive.

    A reader that has gone, as with ``| head``, did not want more of them.

    Raises:
        ExemplarError: If the system refused them.
    """
    if sys.stdout is not None:
        sys.stdout.flush()
    refused = [error for error in _lost if error.errno not in (errno.EPIPE, errno.EIO)]
    if refused:
        raise ExemplarError(
            f"What this command prints could not be written: {refused[0].strerror}. Make room, or "
            "send it elsewhere."
        )


def _reopen_closed() -> None:
    """Open what the starter has closed to nowhere, before a file of ours gets its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, f"__{name}__") is None:
            _closed.add(name)
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            mode = "r" if number == 0 else "w"
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
