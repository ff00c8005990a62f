"""One traced program for every size, by ``torch.export``."""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx.experimental.symbolic_shapes import is_concrete_int

from src.core.errors import ConfigError
from src.inference.portable import PortableNet, dense_attention

Size = Literal["any"] | Sequence[int]

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
    """Return what a program makes of (B, C, H, W).

    Raises:
        ConfigError: If it was traced for other sizes.
    """
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
