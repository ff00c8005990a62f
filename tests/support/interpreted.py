"""Triton's interpreter, so that kernels for GPUs can be checked on the CPU."""

import importlib.util
import os
import sys

THERE = importlib.util.find_spec("triton") is not None
MISSING = "Triton is not installed: make test brings it on Linux, or pip install 'exemplar[triton]'"


def interpret() -> None:
    """Import our kernels for the interpreter, not for a GPU, unless that has been done.

    Triton decides when it is imported, so this must be called before anything else imports it.
    """
    if "src.ops.triton_kernels.launch" in sys.modules:
        return
    if "triton" in sys.modules:
        raise RuntimeError("something has imported Triton for a GPU; import this earlier.")
    before = os.environ.get("TRITON_INTERPRET")
    os.environ["TRITON_INTERPRET"] = "1"
    try:
        import src.ops.triton_kernels.launch  # noqa: F401
    finally:
        del os.environ["TRITON_INTERPRET"]
        if before is not None:
            os.environ["TRITON_INTERPRET"] = before


if THERE:
    interpret()
