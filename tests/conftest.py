"""What holds for all tests: Ctrl-C interrupts, also where a shell's background ignores it.

Lightning and torchmetrics are imported before any module of ours: what ours import while jaxtyping
instruments them, Python compiles anew, although their compiled files are there.
"""

import importlib
import signal

import pytest

signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Import them, but not in the process that only hands tests out to others."""
    if not config.getoption("numprocesses", None):  # in a worker of xdist there are none either
        for module in ("lightning.pytorch", "torchmetrics.image"):
            importlib.import_module(module)
