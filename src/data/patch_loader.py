"""Processes that load training patches: deaf to what stops a training, and gone with it."""

import atexit
import multiprocessing
import multiprocessing.util
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from src.core.preemption import PREEMPTING
from src.data.images import Sample

_SOCKET_NAME = len("/pymp-xxxxxxxx/listener-xxxxxxxx")
_SOCKET_LIMIT = 100  # bytes of the path of a socket: 107 on Linux, 103 on macOS


class PatchLoader(DataLoader[Sample]):
    """A DataLoader whose processes do not hear the signals by which training is asked to stop.

    Ctrl-C in a terminal, a terminal that is closed, ``timeout`` and schedulers signal every process
    of the group. The training process answers, and needs its loader for that; the loader's
    processes end with it, by torch's own watch on their parent, also when it is killed.

    They are forked wherever the system does so well, whatever joblib has made the default.

    Args:
        dataset: As of DataLoader.
        settings: The other arguments of DataLoader.
    """

    def __init__(self, dataset: Any, **settings: Any) -> None:  # noqa: ANN401
        if settings.get("num_workers", 0):
            method = "fork" if sys.platform == "linux" else "spawn"
            settings.setdefault("multiprocessing_context", method)
        super().__init__(dataset, **settings)

    def __iter__(self) -> Any:  # noqa: ANN401
        """Start the processes with these signals blocked, which they inherit and never undo."""
        if not self.num_workers:
            return super().__iter__()
        _keep_sockets_short()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, *PREEMPTING))
        try:
            return super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@atexit.register
def _end_loaders() -> None:
    """Kill the loader's processes that a failed training has left: they ignore SIGTERM.

    Python would ask them to end by it, and wait for ever.
    """
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()


def _keep_sockets_short() -> None:
    """Let multiprocessing put its sockets into /tmp where a long TMPDIR leaves them no name.

    The system refuses the path of a socket above some hundred bytes, and torch then waits for the
    first batch for ever. Only the first call in a process chooses the folder.
    """
    chosen = tempfile.gettempdir()
    if len(chosen.encode()) + _SOCKET_NAME <= _SOCKET_LIMIT or not Path("/tmp").is_dir():  # noqa: S108
        return
    try:
        tempfile.tempdir = "/tmp"  # noqa: S108
        multiprocessing.util.get_temp_dir()
    finally:
        tempfile.tempdir = chosen
