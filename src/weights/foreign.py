"""Weight files of other programs: read without running code, and taken out of their wrapping.

MATLAB files are those of the Zhang lab: MatConvNet's SimpleNN. Their tensors get the names under
which the same group later published in PyTorch: convolution i is ``model.<2i>``. The layout is that
of the public code of DnCNN and FFDNet (arXiv:1608.03981 and arXiv:1710.04026): ``net.layers`` is a
cell of structs with ``type``, and ``weights`` = {filters, biases}, filters being height × width ×
in × out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from scipy.io import loadmat
from scipy.io.matlab import MatReadError
from torch import Tensor

from src.core.errors import CheckpointError
from src.weights.checkpoint_file import read

WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict")
"""Entries that hold a state dict, the best first: BasicSR averages its weights in the first."""

PREFIXES = ("module.", "netG.", "net_g.")
"""What parallel training and trainers of several networks put before every name."""


_SHUFFLE = "SubP"
"""FFDNet's layer from a pixel grid to channels and back."""


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
    tensors = dict(content if inner is None else inner)
    odd = [str(name) for name, value in tensors.items() if not isinstance(value, Tensor)]
    if odd or not tensors:
        raise CheckpointError(
            f"{where}: not a state dict; its entries {', '.join(odd[:5]) or '(none)'} are no "
            f"tensors. Tensors are looked for at the top and under {', '.join(WRAPPERS)}."
        )
    return _without_prefixes(tensors)


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            bare = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
            return _without_prefixes(bare)
    return tensors


def read_matlab(path: Path) -> dict[str, Tensor]:
    """Return the convolutions of a ``.mat`` file of SimpleNN; nothing in it can run code.

    Raises:
        CheckpointError: If it is missing, damaged, of MATLAB's version 7.3, or holds no such net.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file.")
    try:
        content = loadmat(path, struct_as_record=False, variable_names=["net"])
    except NotImplementedError as error:
        raise CheckpointError(
            f"{path}: of MATLAB's version 7.3; save it in MATLAB with save(…, '-v7')."
        ) from error
    except (MatReadError, ValueError, TypeError, EOFError, OSError, LookupError) as error:
        raise CheckpointError(f"{path}: damaged or no MATLAB file ({error}); copy it again.") from (
            error
        )
    try:
        layers = [cell[0, 0] for cell in content["net"][0, 0].layers.ravel()]
        kinds = [str(layer.type.item()) for layer in layers]
        weights = [
            _convolution(layer) for layer, kind in zip(layers, kinds, strict=True) if kind == "conv"
        ]
    except (KeyError, IndexError, AttributeError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path}: holds no network of MatConvNet's SimpleNN (net.layers with type and weights)."
        ) from error
    if "bnorm" in kinds or not weights:
        raise CheckpointError(
            f"{path}: its layers are {', '.join(sorted(set(kinds)))}; convolutions with batch "
            "normalisation merged into them are needed."
        )
    if _SHUFFLE in kinds:
        first, last = weights[0], weights[-1]
        weights[0] = (_reordered(first[0], axis=1), first[1])
        weights[-1] = (_reordered(last[0], axis=0), _reordered(last[1], axis=0))
    named: dict[str, Tensor] = {}
    for index, (filters, biases) in enumerate(weights):
        named |= {f"model.{2 * index}.weight": filters, f"model.{2 * index}.bias": biases}
    return named


def _convolution(layer: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401
    """Return filters (O, I, H, W) and biases (O,)."""
    filters, biases = (np.asarray(cell, dtype=np.float32) for cell in layer.weights.ravel()[:2])
    filters = filters.reshape(*filters.shape, *[1] * (4 - filters.ndim))  # MATLAB drops a last 1
    weight = torch.from_numpy(np.ascontiguousarray(filters.transpose(3, 2, 0, 1)))
    bias = torch.from_numpy(biases.ravel().copy()) if biases.size else torch.zeros(len(weight))
    return weight, bias


def _reordered(tensor: Tensor, *, axis: int) -> Tensor:
    """Bring the four pixels of each channel from MATLAB's order, column by column, to row by row.

    A last channel that is no such group, the noise level, stays where it is.
    """
    count = tensor.shape[axis] // 4 * 4
    order = torch.arange(count).view(-1, 2, 2).transpose(1, 2).flatten()
    rest = torch.arange(count, tensor.shape[axis])
    return tensor.index_select(axis, torch.cat([order, rest]))
