"""What a training is refused for before its first step."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning import Callback
from lightning.pytorch.callbacks import WeightAveraging

from src.core.errors import ConfigError
from src.core.types import RestorationNet


def check_patch(side: int, net: RestorationNet, *, scale: int) -> None:
    """Refuse training patches of a size that task or network cannot take.

    Args:
        side: Of the target, in pixels.
        net: The network.
        scale: Size of the target over that of the input.

    Raises:
        ConfigError: Naming the nearest possible sizes.
    """
    unit = net.multiple_of * net.scale
    if side % scale:
        below, above = side // scale * scale, -(-side // scale) * scale
        near = f"{below} or {above}" if below else f"{above}"
        raise ConfigError(
            f"data.patch_size={side} is in pixels of the target and must be a multiple of "
            f"task.scale={scale}: take {near}."
        )
    if side % unit:
        raise ConfigError(
            f"data.patch_size={side}: {type(net).__name__} takes multiples of {unit} "
            f"pixels; take {-(-side // unit) * unit}."
        )


def check_compiler(memory_format: torch.memory_format) -> None:
    """Refuse ``compile=true`` where torch.compile would fail, or compute something else.

    Args:
        memory_format: Of the network.

    Raises:
        ConfigError: Saying what to install or leave out.
    """
    if memory_format == torch.channels_last:
        raise ConfigError(
            "compile=true and channels_last=true: torch 2.13 compiles wrong gradients for networks "
            "with pyramid attention in that format, without an error. Leave one of the two out."
        )
    default = "clang++" if sys.platform == "darwin" else "g++"
    compiler = os.environ.get("CXX", default)
    if shutil.which(compiler) is None:
        raise ConfigError(
            f"compile=true needs a C++ compiler, and {compiler} is not there. Install it (for "
            "example the package g++), name another with the environment variable CXX, or leave "
            "compile=false."
        )


def check_average(checkpoint: Mapping[str, Any], callbacks: Sequence[Callback]) -> None:
    """Refuse to take a moving average for the weights that training goes on with.

    Raises:
        ConfigError: If the checkpoint has an average that no callback keeps up.
    """
    averaging = any(isinstance(callback, WeightAveraging) for callback in callbacks)
    if "current_model_state" in checkpoint and not averaging:
        raise ConfigError(
            "This run keeps a moving average of its weights. Resume it with callbacks=ema, or "
            "begin a new run from the average: weights=<its folder>."
        )
