"""Weight files of other programs: read without running code, and taken out of their wrapping."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from src.core.errors import CheckpointError
from src.weights.atomic_io import read
from src.weights.matlab import read_matlab

WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict")
"""Entries that hold a state dict, the best first: BasicSR averages its weights in the first."""

PREFIXES = ("module.", "netG.", "net_g.")
"""What parallel training and trainers of several networks put before every name."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weight file by name, on the CPU.

    Args:
        path: A file of torch (zip or legacy format), a ``.safetensors`` file, or a ``.mat`` file
            of MatConvNet.

    Raises:
        CheckpointError: If it is missing, damaged, could run code or holds no tensors.
    """
    if path.suffix == ".mat":
        return read_matlab(path)
    if path.suffix != ".safetensors":
        return unwrap_weights(read(path), str(path))
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file.")
    try:
        return unwrap_weights(load_file(path), str(path))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: damaged or truncated ({error}); copy or download it again."
        ) from error


def unwrap_weights(content: Mapping[str, Any], where: str) -> dict[str, Tensor]:
    """Return the state dict in ``content``, without the prefixes that trainers leave.

    Args:
        content: A state dict, or a dictionary with one under one of ``WRAPPERS``.
        where: What it is, for messages.

    Raises:
        CheckpointError: If there is none.
    """
    inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
    held = dict(content if inner is None else inner)
    odd = [str(name) for name, value in held.items() if not isinstance(value, Tensor)]
    if odd or not held:
        raise CheckpointError(
            f"{where}: not a state dict; its entries {', '.join(odd[:5]) or '(none)'} are no "
            f"tensors. Tensors are looked for at the top and under {', '.join(WRAPPERS)}."
        )
    return _without_prefixes(held)


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            bare = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
            return _without_prefixes(bare)
    return tensors
