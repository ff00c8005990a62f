"""Whether Triton's interpreter is there, in which kernels for GPUs can be checked on the CPU."""

import importlib.util
import os

import pytest

INSTALLED = importlib.util.find_spec("triton") is not None

needs_interpreter = pytest.mark.skipif(
    not INSTALLED or os.environ.get("TRITON_INTERPRET") != "1",
    reason=(
        "the interpreter is for machines without a GPU"
        if INSTALLED
        else "Triton is missing: make test brings it on Linux, or pip install 'exemplar[triton]'"
    ),
)
