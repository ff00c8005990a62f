"""A network in one .safetensors file: its weights, how to build it, and where it came from."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from src.core.errors import CheckpointError
from src.models.attention import ATTENTION
from src.models.backbones import BACKBONES
from src.models.spandrel_net import SpandrelNet
from src.weights.names import FORMAT, KEY


@dataclass(frozen=True)
class NetworkFile:
    """What such a file holds.

    Attributes:
        path: The file.
        model: The network as in conf/model: ``_target_`` and constructor arguments.
        about: Version, commit, source and the like.
        weights: The network's tensors, under its own names.
    """

    path: Path
    model: dict[str, Any]
    about: dict[str, Any]
    weights: dict[str, Tensor]


def write_network(
    path: Path, weights: Mapping[str, Tensor], model: Mapping[str, Any], about: Mapping[str, Any]
) -> None:
    """Write a network, whole or not at all.

    Args:
        path: The file, made or replaced; its folder is made.
        weights: The network's state dict.
        model: The network as in conf/model, plain.
        about: Where it came from; strings, numbers and containers of them.

    Raises:
        CheckpointError: If it cannot be written.
    """
    carried = json.dumps({"format": FORMAT, **about, "model": dict(model)}, sort_keys=True)
    # Copies, because the format has no tensors that share their storage.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in weights.items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, temporary, metadata={KEY: carried})
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} cannot be written: {error}. Make room or choose another output."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def read_network(path: Path) -> NetworkFile:
    """Read a file that ``write_network`` wrote; nothing in it can run code.

    Raises:
        CheckpointError: If it is missing, damaged, not ours, or names other than our networks.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: damaged, truncated or no safetensors file ({error}); copy it again."
        ) from error
    carried = _carried(path, metadata)
    _refuse_foreign_targets(path, carried["model"])
    return NetworkFile(path, carried.pop("model"), carried, weights)


def open_network(path: str | Path) -> nn.Module:
    """Return the network of a file that ``write_network`` wrote, in evaluation mode.

    Raises:
        CheckpointError: If it cannot be read, or is of a class or size that is not there.
    """
    held = read_network(Path(path))
    try:
        net: nn.Module = instantiate(held.model, _convert_="all")
        net.load_state_dict(held.weights)
    except (InstantiationException, RuntimeError) as error:
        raise CheckpointError(f"{held.path}: does not fit its own network: {error}") from error
    return net.eval()


def _carried(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        carried = json.loads(metadata[KEY])
        known = carried["format"] <= FORMAT and isinstance(carried["model"], dict)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: not written by this project (its metadata has no usable {KEY!r}). Convert it "
            "with  python -m src.convert source=… architecture=… output=…"
        ) from error
    if not known:
        raise CheckpointError(
            f"{path}: format {carried['format']}; this version reads up to {FORMAT}. Update it."
        )
    return dict(carried)


def _refuse_foreign_targets(path: Path, node: object) -> None:
    """Let a file name registered networks and attention blocks, and nothing else, to be called."""
    if isinstance(node, list):
        for item in node:
            _refuse_foreign_targets(path, item)
    if not isinstance(node, dict):
        return
    target = node.get("_target_")
    known = [registry[name].cls for registry in (BACKBONES, ATTENTION) for name in registry]
    known.append(SpandrelNet)
    if target is not None and target not in {f"{c.__module__}.{c.__qualname__}" for c in known}:
        raise CheckpointError(
            f"{path}: refused, because it asks for {target!r}, which is no registered network or "
            "attention block. To list these:  python -m src.catalog"
        )
    for value in node.values():
        _refuse_foreign_targets(path, value)
