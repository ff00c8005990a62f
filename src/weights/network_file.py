"""A network in one .safetensors file: its weights, how to build it, and where it came from."""

import json
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
from src.core.files import replacing
from src.weights.checkpoint_file import FORMAT, KEY
from src.weights.untrusted import check_config, check_saved


@dataclass(frozen=True)
class NetworkFile:
    """What such a file contains."""

    path: Path  # the file
    model: dict[str, Any]  # the network as in conf/model: ``_target_`` and constructor arguments
    about: dict[str, Any]  # Version, commit, source and the like
    weights: dict[str, Tensor]  # the network's tensors, under its own names


def write_network(
    path: Path, weights: Mapping[str, Tensor], model: Mapping[str, Any], about: Mapping[str, Any]
) -> None:
    """Write weights, ``model`` as in conf/model, and where they came from, whole or not at all.

    Raises:
        CheckpointError: If it cannot be written.
    """
    carried = json.dumps({"format": FORMAT, **about, "model": dict(model)}, sort_keys=True)
    # Copies, because the format has no tensors that share their storage.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in weights.items()}
    try:
        with replacing(path) as temporary:
            temporary.touch()
            mode = temporary.stat().st_mode  # as this user's files have it; safetensors says 0600
            save_file(tensors, temporary, metadata={KEY: carried})
            temporary.chmod(mode)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} cannot be written: {error}. Make room or choose another output."
        ) from error


def read_network(path: Path) -> NetworkFile:
    """Read a file that ``write_network`` wrote; nothing in it can run code.

    Raises:
        CheckpointError: If it is missing, damaged or not ours.
        UntrustedError: If its metadata is more than plain data and networks that conf/ offers.
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
    model = check_saved(path, {"model": carried.pop("model")})["model"]
    check_config(path, {"origin": carried})
    return NetworkFile(path, model, carried, weights)


def open_network(source: str | Path | NetworkFile) -> nn.Module:
    """Return the network of a file that ``write_network`` wrote, in evaluation mode.

    Raises:
        CheckpointError: If it cannot be read, or is of a class or size that is not there.
    """
    file = source if isinstance(source, NetworkFile) else read_network(Path(source))
    net = built(file.path, file.model)
    try:
        net.load_state_dict(file.weights)
    except RuntimeError as error:
        raise CheckpointError(f"{file.path}: does not fit its own network: {error}") from error
    return net.eval()


def built(path: Path, model: Mapping[str, Any]) -> nn.Module:
    """Return the network that a file describes, with initial weights.

    Raises:
        CheckpointError: If a class of ours cannot be built as the file says.
        InstantiationException: If one of the user's own cannot.
    """
    try:
        net: nn.Module = instantiate(model, _convert_="all")
    except InstantiationException as error:
        if " 'src." not in str(error).partition("\n")[0]:
            raise
        raise CheckpointError(f"{path}: does not fit its own network: {error}") from error
    return net


def _carried(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        carried = json.loads(metadata[KEY])
        known = dict(carried)["format"] <= FORMAT and "model" in carried
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: not written by this project (its metadata has no usable {KEY!r}). Convert it "
            "with  python -m src.convert source=… architecture=… output=…"
        ) from error
    if not known:
        raise CheckpointError(
            f"{path}: format {carried['format']}; this version reads up to {FORMAT}. Update it."
        )
    return dict(carried)
