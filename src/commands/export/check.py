"""Hold a written file against the network that it was made from."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from src.commands.export.onnx_file import onnx_session, run_onnx
from src.commands.export.program import Size, run
from src.core.errors import ConfigError, MismatchError
from src.core.seeding import generator_for
from src.inference.portable import PortableNet

Run = Callable[[Tensor], Tensor]


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
    found = {}
    for height, width in sizes:
        largest = 0.0
        for batch in (1, 2):
            noise = generator_for("cpu", "export", height, width)
            degraded = torch.rand(batch, net.in_channels, height, width, generator=noise)
            largest = max(largest, _difference(made(degraded), net(degraded)))
        if not largest <= tolerance:
            raise MismatchError(
                f"The exported network differs from the live one by {largest:.1e} at "
                f"{height}×{width} pixels, and tolerance={tolerance:.0e}. Nothing was written."
            )
        found[height, width] = largest
    return found


def _difference(restored: Tensor, expected: Tensor) -> float:
    if restored.shape != expected.shape:
        raise MismatchError(
            f"The exported network returns {tuple(restored.shape)} and the live one "
            f"{tuple(expected.shape)}. Nothing was written."
        )
    return float((restored - expected).abs().max())
