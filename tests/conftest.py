"""What holds for all tests: where there is no GPU, Triton interprets its kernels on the CPU.

Triton decides when it is imported, and Lightning imports it by way of torch, so this comes first.
And Ctrl-C interrupts, also where a shell has started the tests in its background and ignores it.
Lightning and torchmetrics are imported before any module of ours: what ours import while jaxtyping
instruments them, Python compiles anew, although their compiled files are there.
"""

import importlib
import os
import shutil
import signal

signal.signal(signal.SIGINT, signal.default_int_handler)

if shutil.which("nvidia-smi") is None and shutil.which("rocm-smi") is None:
    os.environ["TRITON_INTERPRET"] = "1"

for module in ("lightning.pytorch", "torchmetrics.image"):
    importlib.import_module(module)
