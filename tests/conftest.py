"""What holds for all tests: Ctrl-C interrupts, also where a shell's background ignores it.

The garbage collector leaves alone what lives to the end, which is all that is imported, and comes
less often: a tenth of the time of tests that run commands.

Lightning and torchmetrics are imported before any module of ours: what ours import while jaxtyping
instruments them, Python compiles anew, although their compiled files are there.

The logging of absl, which OpenVINO brings, is told to write to the process's own stream: it closes
any other when a command sets logging up, and what pytest has put in its place is read on.
"""

import atexit
import gc
import importlib
import signal
import sys
from importlib.util import find_spec

import pytest

signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Import them, but not in the process that only hands tests out to others."""
    if not config.getoption("numprocesses", None):  # in a worker of xdist there are none either
        gc.disable()
        atexit.register(gc.freeze)
        for module in ("lightning.pytorch", "torchmetrics.image"):
            importlib.import_module(module)
        if find_spec("absl"):
            absl = importlib.import_module("absl.logging")
            absl.get_absl_handler().python_handler.stream = sys.__stderr__


def pytest_collection_finish() -> None:
    """Let the modules and tests that there are out of every later garbage collection."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 20)
