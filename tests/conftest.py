"""What holds for all tests: where there is no GPU, Triton interprets its kernels on the CPU.

Triton decides when it is imported, and Lightning imports it by way of torch, so this comes first.
"""

import os
import shutil

if shutil.which("nvidia-smi") is None and shutil.which("rocm-smi") is None:
    os.environ["TRITON_INTERPRET"] = "1"
