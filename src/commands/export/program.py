"""One traced program for every size, by ``torch.export``, and the check of its file."""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx.experimental.symbolic_shapes import is_concrete_int

from src.commands.export.onnx_file import onnx_session, run_onnx
from src.core.errors import ConfigError, MismatchError
from src.core.seeding import generator_for
from src.inference.portable import PortableNet, dense_attention

Size = Literal["any"] | Sequence[int]
Run = Callable[[Tensor], Tensor]

ABOUT = "exemplar.json"
"""The entry of a .pt2 file that says where it came from."""

EXAMPLE = (37, 29)
"""Sides of the image that is traced: unequal, odd, and divisible by nothing."""


def trace(net: PortableNet, size: Size) -> ExportedProgram:
    """Return the program of ``net``, in evaluation mode, for any number of images of ``size``.

    Raises:
        ConfigError: If it cannot be traced, or not for any size although that is asked for.
    """
    if size == "any" and any(getattr(part, "follows_size", False) for part in net.modules()):
        # torch would find that out too, after minutes of algebra
        raise ConfigError(f"{_name(net)} does other work for every size. {_advice(size)}")
    height, width = EXAMPLE if size == "any" else (int(side) for side in size)
    example = torch.zeros(2, net.in_channels, height, width)
    free = {0: torch.export.Dim.AUTO}
    if size == "any":
        free |= {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    try:
        with dense_attention(net), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(net, (example,), dynamic_shapes=(free,), strict=False)
    except Exception as error:  # torch raises many kinds, and none of them is documented
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"{_name(net)} cannot be traced: {reason} {_advice(size)}") from error
    fixed = [axis for axis in free if is_concrete_int(_shape(program)[axis])]
    if fixed:
        raise ConfigError(f"{_name(net)} does other work for every size. {_advice(size)}")
    return program


def save(program: ExportedProgram, path: Path, about: Mapping[str, object]) -> None:
    """Write the program with ``about`` beside it.

    Raises:
        ConfigError: If torch's format lacks something that the network does.
        OSError: If the file cannot be written.
    """
    try:
        torch.export.save(program, path, extra_files={ABOUT: json.dumps(about, indent=1)})
    except OSError:
        raise
    except Exception as error:  # as above
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"The network has no form in a .pt2 file: {reason} Write output=….onnx instead."
        ) from error


def run(program: ExportedProgram, degraded: Tensor) -> Tensor:
    """Return what a program makes of (B, C, H, W); ConfigError if it was traced for other sizes."""
    try:
        with torch.no_grad():
            restored: Tensor = program.module()(degraded)
    except AssertionError as error:  # the conditions under which the trace holds
        sides = "×".join(map(str, degraded.shape[-2:]))
        raise ConfigError(
            f"A trace of this network does not hold at {sides}: it does other work for other "
            f"sizes. {_advice('any')}"
        ) from error
    return restored


def opened(path: Path, suffix: str) -> Run:
    """Read a file back from the disk and return how to run it.

    Raises:
        ConfigError: If torch cannot read what torch has written.
    """
    if suffix == ".onnx":
        session = onnx_session(path)
        return lambda degraded: run_onnx(session, degraded)
    try:
        program = torch.export.load(path)
    except Exception as error:  # torch raises many kinds, and none of them is documented
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"The exported file cannot be read back: {reason} Nothing was written."
        ) from error
    return lambda degraded: run(program, degraded)


def sizes_of(size: Size, check: Sequence[Sequence[int]], least: int) -> list[tuple[int, int]]:
    """Return the heights and widths to compare at.

    Raises:
        ConfigError: If there are none, or one is not a pair of whole numbers from ``least`` on.
    """
    wanted = check if size == "any" else [size]
    for pair in wanted:
        whole = all(isinstance(side, int) for side in pair)
        if len(pair) != 2 or not whole or min(pair) < least:
            raise ConfigError(
                f"{list(pair)} is no size to export or check: give height and width in whole "
                f"pixels, {least} or more, e.g. size=[256,256] or check=[[48,64],[37,29]]."
            )
    if not wanted:
        raise ConfigError("check=[] would prove nothing; give a size, e.g. check=[[48,64]].")
    return [(pair[0], pair[1]) for pair in wanted]


@torch.no_grad()
def differences(
    made: Run, net: PortableNet, sizes: Sequence[tuple[int, int]], tolerance: float
) -> dict[tuple[int, int], float]:
    """Return the largest difference between file and network at each size, one and two images.

    Raises:
        MismatchError: If one is above ``tolerance``, or the file gives another shape.
    """
    largest_of = {}
    for height, width in sizes:
        largest = 0.0
        for batch in (1, 2):
            noise = generator_for("cpu", "export", height, width)
            degraded = torch.rand(batch, net.in_channels, height, width, generator=noise)
            found = _difference(made(degraded), net(degraded))
            if not found <= tolerance:  # NaN included
                raise MismatchError(
                    f"The exported network differs from the live one by {found:.1e} at "
                    f"{height}×{width} pixels, and tolerance={tolerance:.0e}. Nothing was written."
                )
            largest = max(largest, found)
        largest_of[height, width] = largest
    return largest_of


def _difference(restored: Tensor, expected: Tensor) -> float:
    if restored.shape != expected.shape:
        raise MismatchError(
            f"The exported network returns {tuple(restored.shape)} and the live one "
            f"{tuple(expected.shape)}. Nothing was written."
        )
    return float((restored - expected).abs().max())


def _shape(program: ExportedProgram) -> Sequence[int | torch.SymInt]:
    given = [node for node in program.graph.nodes if node.op == "placeholder"][-1]
    shape: Sequence[int | torch.SymInt] = given.meta["val"].shape
    return shape


def _name(net: PortableNet) -> str:
    return type(net.net).__name__


def _advice(size: Size) -> str:
    if size == "any":
        return "Ask for one size, that of your tiles, e.g. size=[256,256]."
    return "Use python -m src.predict instead."
