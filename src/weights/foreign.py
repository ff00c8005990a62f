"""Weight files of other programs: read without running code, and taken out of their wrapping.

MATLAB files are those of the Zhang lab: MatConvNet's SimpleNN. Their tensors get the names under
which the same group later published in PyTorch: convolution i is ``model.<2i>``. The layout is that
of the public code of DnCNN and FFDNet (arXiv:1608.03981 and arXiv:1710.04026): ``net.layers`` is a
cell of structs with ``type``, and ``weights`` = {filters, biases}, filters being height × width ×
in × out. Files of MATLAB's version 7.3 are HDF5 and need the extra ``matlab``: arrays lie in them
with their axes reversed, cells are arrays of references. Batch normalisation has ``weights`` =
{gains, offsets, moments}, the moments being mean and √(variance + ε); it is merged into the
convolution before it.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from src.core.errors import CheckpointError
from src.weights.checkpoint_file import read

WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict")
"""Entries that hold a state dict, the best first: BasicSR averages its weights in the first."""

PREFIXES = ("module.", "netG.", "net_g.")
"""What parallel training and trainers of several networks put before every name."""


_SHUFFLE = "SubP"
"""FFDNet's layer from a pixel grid to channels and back."""


@dataclass
class _Layer:
    type: str
    weights: list[npt.NDArray[Any]]  # as MATLAB has them


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors by name of a file of torch, safetensors or MatConvNet (.mat), on the CPU.

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

    It is ``content`` itself, or stands in it under one of ``WRAPPERS``.

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
        CheckpointError: If it is missing, damaged, holds no such net, or is of MATLAB's version 7.3
            and h5py is not there.
    """
    from scipy.io.matlab import MatReadError  # only now, for files of MATLAB

    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file.")
    try:
        layers = _layers(path)
        weights = _merged(layers)
    except (MatReadError, EOFError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or no MATLAB file ({error}); copy it again.") from (
            error
        )
    except (LookupError, AttributeError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path}: damaged, or no network of MatConvNet's SimpleNN (net.layers with type and "
            f"weights): {error}"
        ) from error
    kinds = {layer.type for layer in layers}
    if not weights:
        raise CheckpointError(
            f"{path}: its layers are {', '.join(sorted(kinds))}; convolutions are needed."
        )
    if _SHUFFLE in kinds:
        first, last = weights[0], weights[-1]
        weights[0] = (_reordered(first[0], axis=1), first[1])
        weights[-1] = (_reordered(last[0], axis=0), _reordered(last[1], axis=0))
    named: dict[str, Tensor] = {}
    for index, (filters, biases) in enumerate(weights):
        named |= {f"model.{2 * index}.weight": filters, f"model.{2 * index}.bias": biases}
    return named


def _layers(path: Path) -> list[_Layer]:
    from scipy.io import loadmat

    try:
        net = loadmat(path, struct_as_record=False, variable_names=["net"])["net"][0, 0]
    except NotImplementedError:  # of version 7.3
        return _layers_of_hdf5(path)
    cells = [cell[0, 0] for cell in net.layers.ravel()]
    return [
        _Layer(str(cell.type.item()), list(getattr(cell, "weights", np.zeros(0)).ravel()))
        for cell in cells
    ]


def _layers_of_hdf5(path: Path) -> list[_Layer]:
    try:
        h5py: Any = importlib.import_module("h5py")
    except ImportError as error:
        raise CheckpointError(
            f"{path}: of MATLAB's version 7.3, which needs h5py: pip install 'exemplar[matlab]', "
            "or save it in MATLAB with save(…, '-v7')."
        ) from error
    with h5py.File(path, "r") as file:

        def array(reference: Any) -> npt.NDArray[Any]:  # noqa: ANN401
            data = file[reference]
            return np.zeros(0) if data.attrs.get("MATLAB_empty") else np.asarray(data[()]).T

        def weights(cell: Any) -> list[npt.NDArray[Any]]:  # noqa: ANN401
            there = "weights" in cell and not cell["weights"].attrs.get("MATLAB_empty")
            return [array(one) for one in cell["weights"][()].ravel()] if there else []

        cells = [file[one] for one in file["net"]["layers"][()].ravel()]
        kinds = ("".join(map(chr, np.asarray(cell["type"][()]).ravel())) for cell in cells)
        return [_Layer(kind, weights(cell)) for kind, cell in zip(kinds, cells, strict=True)]


def _merged(layers: list[_Layer]) -> list[tuple[Tensor, Tensor]]:
    """Return filters (O, I, H, W) and biases (O,) of each convolution, batch norms merged."""
    merged: list[tuple[Tensor, Tensor]] = []
    before = ""
    for layer in layers:
        if layer.type == "conv":
            merged.append(_convolution(layer))
        elif layer.type == "bnorm":
            if before != "conv":
                raise ValueError(f"batch normalisation follows {before or 'nothing'}, no conv")
            merged[-1] = _normalised(*merged[-1], layer)
        before = layer.type
    return merged


def _normalised(weight: Tensor, bias: Tensor, norm: _Layer) -> tuple[Tensor, Tensor]:
    gains, offsets, moments = (torch.from_numpy(part.astype(np.float64)) for part in norm.weights)
    mean, deviation = moments.reshape(-1, 2).unbind(1)
    factor = gains.ravel() / deviation
    filters = (weight * factor.view(-1, 1, 1, 1)).float()
    return filters, ((bias - mean) * factor + offsets.ravel()).float()


def _convolution(layer: _Layer) -> tuple[Tensor, Tensor]:
    filters, biases = (np.asarray(cell, dtype=np.float32) for cell in layer.weights[:2])
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
