"""Our Triton kernels, compiled where no GPU is: `python -m tools.compiled [type …]`.

Prints for each kernel, type and GPU how long that took, and what of an SM a program wants.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from src.ops.attention.triton_kernels.kernels import (
    paste_others,
    sum_of_changes,
    sum_of_exponentials,
)
from src.ops.attention.triton_kernels.tiles import SIZES, Known, Sides
from src.ops.attention.triton_launch import BLOCK, WIDE

TYPES = {"bf16": tl.bfloat16, "fp16": tl.float16, "fp32": tl.float32}
KERNELS: tuple[tuple[Any, dict[str, Any]], ...] = (
    (sum_of_exponentials, {}),
    (sum_of_changes, {"KEYS_OWN": False}),
    (sum_of_changes, {"KEYS_OWN": True}),
    (paste_others, {"KEYS_OWN": False, "GRADIENT": False, "WIDE": WIDE}),
    (paste_others, {"KEYS_OWN": False, "GRADIENT": True, "WIDE": WIDE}),
    (paste_others, {"KEYS_OWN": True, "GRADIENT": False, "WIDE": WIDE}),
    (paste_others, {"KEYS_OWN": True, "GRADIENT": True, "WIDE": WIDE}),
)
PTXAS = Path(triton.__file__).parent / "backends/nvidia/bin/ptxas"


def build(kernel: Any, constants: dict[str, Any], kind: str, target: GPUTarget) -> str:  # noqa: ANN401
    """Compile one kernel for features of one type, and return what PTX's assembler says of it."""
    features, number = f"*{kind}", "*fp32"
    types = {
        "sides": Sides(features, features, features, features),
        "known": Known(number, number, number),
        "pasted": features,
        "peak": number,
        "total": number,
        **dict.fromkeys(SIZES, "i32"),
    }
    block = {name: value for name, value in BLOCK.items() if name.isupper()}
    known = {**constants, **block, "OPERAND": TYPES[kind], "PRECISION": "ieee"}
    signature = {name: "constexpr" if name in known else types[name] for name in kernel.arg_names}
    options = {"num_warps": BLOCK["num_warps"]}
    made = triton.compile(ASTSource(kernel, signature, known), target=target, options=options)
    if target.backend != "cuda":
        return ""
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(made.asm["ptx"])
        file.flush()
        sm = f"sm_{target.arch}" + "a" * (target.arch == 90)
        command = [str(PTXAS), "-v", "--gpu-name", sm, file.name, "-o", "/dev/null"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    used = re.findall(r"\d+ bytes spill stores|Used \d+ registers", said)
    return f"{', '.join(used)}, {made.metadata.shared} bytes shared"


def main(kinds: list[str]) -> None:
    for target in (
        GPUTarget("cuda", 90, 32),
        GPUTarget("cuda", 80, 32),
        GPUTarget("hip", "gfx942", 64),
    ):
        for kind in kinds:
            for kernel, constants in KERNELS:
                start = time.perf_counter()
                used = build(kernel, constants, kind, target)
                seconds = time.perf_counter() - start
                name = f"{target.arch} {kind} {kernel.__name__} {constants}"
                sys.stdout.write(f"{name}: {seconds:.1f} s, {used}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:] or [*TYPES])
