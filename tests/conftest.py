"""What holds for all tests: Ctrl-C interrupts, also where a shell's background ignores it.

Lightning and torchmetrics are imported before any module of ours: what ours import while jaxtyping
instruments them, Python compiles anew, although their compiled files are there.
"""

import importlib
import signal

signal.signal(signal.SIGINT, signal.default_int_handler)

for module in ("lightning.pytorch", "torchmetrics.image"):
    importlib.import_module(module)
