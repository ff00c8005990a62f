"""Standard output and error that may go away while the work goes on."""

import errno
import io
import os
import sys
from typing import Any

from src.core.errors import ExemplarError

_lost: list[OSError] = []


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
    """Let a reader that has gone, a full disk or a closed terminal not end what is being done.

    Training has its own files, and is not to end unsaved because nobody reads its progress bar.
    """
    _reopen_closed()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not getattr(sys, f"__{name}__"):
            continue  # somebody has put another in its place
        number = stream.fileno()
        stream.flush()
        drain = io.BufferedWriter(_Drain(number, "wb", closefd=False))
        lines = name == "stderr" or stream.line_buffering or stream.write_through  # python -u
        new = io.TextIOWrapper(drain, stream.encoding, stream.errors, line_buffering=lines)
        setattr(sys, name, new)


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
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            mode = "r" if number == 0 else "w"
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
