"""Checkpoints: find them, read them safely, rebuild what they hold from the path alone."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from src.core.errors import CheckpointError
from src.core.paths import from_root, with_home
from src.inference.policy import InferencePolicy
from src.weights.checkpoint_file import BEST, FORMAT, KEY, LAST, PREVIOUS, check_whole, read
from src.weights.hub import HUB, described, hub_file, is_remote
from src.weights.network_file import built, open_network, read_network
from src.weights.untrusted import check_config, check_saved
from src.weights.zoo import ZOO, zoo_file

logger = logging.getLogger(__name__)

NETWORK_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of ours: of a training, or a network alone."""

    path: Path  # the file
    # The config of its training, resolved; of a network alone ``model``, ``io`` and ``inference``,
    # which are enough to restore images.
    config: DictConfig
    step: int  # optimizer steps done; 0 for a network alone
    origin: dict[str, Any]  # version and commit
    weights: Mapping[str, Tensor]  # the network's tensors, under its own names

    @property
    def network_alone(self) -> bool:
        """Whether there is no task, data or protocol in it, but only a network."""
        return self.path.suffix == NETWORK_SUFFIX


def find(source: str | Path) -> Path:
    """Return the checkpoint file of a run folder (the best, else the last), or the file itself.

    A folder that holds runs stands for the newest of them, ``zoo/<name>`` for a network that comes
    with the project, ``hf://owner/name`` for one on the hub. Relative paths are tried from the
    current folder, then from the repository root.

    Raises:
        CheckpointError: If there is none.
    """
    if is_remote(source):
        return hub_file(str(source))
    path = with_home(source)
    if str(source).startswith(ZOO) and not path.exists():
        return zoo_file(str(source))
    path = path if path.exists() else from_root(path)
    if path.is_file():
        return path
    for name in (BEST, LAST, PREVIOUS):
        for candidate in (path / "checkpoints" / name, path / name):
            if candidate.is_file():
                return candidate
    inside = runs_below(path, BEST)
    if inside:
        return inside[-1]
    newest = runs_below(from_root("outputs"), BEST)[-3:]
    hint = "".join(f"\n  {file.parent.parent}" for file in reversed(newest))
    raise CheckpointError(
        f"{source}: no checkpoint there. Give a .ckpt or .safetensors file or a run folder with "
        f"checkpoints/{BEST}" + (f"; the newest are:{hint}" if hint else ".")
    )


def open_checkpoint(source: str | Path) -> Checkpoint:
    """Read a checkpoint of ours with the config that it carries.

    Raises:
        CheckpointError: If there is none, it cannot be read, or another program wrote it.
        UntrustedError: If its configuration is more than plain data and listed components.
    """
    path = find(source)
    if path.suffix == NETWORK_SUFFIX:
        alone = _network_alone(path)
        if is_remote(source):
            return replace(alone, origin={**alone.origin, "hub": described(str(source), path)})
        return alone
    content = read(path)
    if not _is_ours(content):
        raise CheckpointError(
            f"{path}: not written by this project (it has no usable {KEY!r} entry). Of published "
            "weights say whose they are, architecture=<name>, or convert them: "
            "python -m src.convert --help"
        )
    check_whole(path)
    carried = dict(content[KEY])
    if carried["format"] > FORMAT:
        raise CheckpointError(
            f"{path}: format {carried['format']}, written by version {carried['version']}; this "
            f"version reads up to format {FORMAT}. Update exemplar."
        )
    _refuse_cut(path, content)
    config = DictConfig(check_saved(path, carried.pop("config")))
    check_config(path, {"origin": carried})
    prefix = "net."
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in content["state_dict"].items()
        if name.startswith(prefix)
    }
    step = int(content["global_step"])
    _say_choice(Path(source), path, step)
    return Checkpoint(path, config, step, carried, weights)


def runs_below(folder: Path, name: str) -> list[Path]:
    """Return the checkpoints called ``name`` of all runs below ``folder``, the newest last."""
    return sorted(folder.glob(f"**/checkpoints/{name}"), key=lambda path: path.stat().st_mtime)


def _say_choice(source: Path, path: Path, step: int) -> None:
    """Say which run was taken where a folder holds several, and which newer one was not."""
    folder = with_home(source)
    folder = folder if folder.exists() else from_root(folder)
    taken = path.parent.parent
    if taken in {folder, folder.parent} or not folder.is_dir():
        return
    runs = [file.parent.parent for file in runs_below(folder, LAST)]
    if len(runs) > 1:
        text = "%s: newest of %d: %s, step %d; name another folder for another run"
        logger.info(text, source, len(runs), taken, step)
    for newer in runs[runs.index(taken) + 1 :] if taken in runs else []:
        logger.warning("%s is newer and was not taken: it has no newer %s", newer, BEST)


_FORM = {"global_step": int, "callbacks": dict, "loops": dict, "optimizer_states": list,
         "lr_schedulers": list, "pytorch-lightning_version": str}  # fmt: skip
"""Entries of Lightning's and their types; what of them a checkpoint lacks is not asked for."""


def _is_ours(content: Mapping[str, Any]) -> bool:
    carried, weights = content.get(KEY), content.get("state_dict")
    return (
        isinstance(carried, dict)
        and isinstance(carried.get("format"), int)
        and isinstance(carried.get("config"), dict)
        and isinstance(carried.get("version"), str)
        and isinstance(carried.get("run_ids", {}), dict)
        and isinstance(carried.get("images", {}), dict)
        and all(isinstance(images, dict) for images in carried.get("images", {}).values())
        and isinstance(weights, dict)
        and all(isinstance(value, Tensor) or _is_beside(key) for key, value in weights.items())
        and all(isinstance(content.get(key, kind()), kind) for key, kind in _FORM.items())
    )


_PARTS = ("channels_last", "data", "degradation", "inference", "io", "io.in_channels",
          "io.out_channels", "io.scale", "metrics", "model", "protocol", "task")  # fmt: skip
"""What the configuration of every checkpoint has, of the first versions too."""


def _refuse_cut(path: Path, content: Mapping[str, Any]) -> None:
    """Raise CheckpointError for a checkpoint of which a part is missing, naming it."""
    config = content[KEY]["config"]
    sizes = config.get("io")
    has = {*config, *(f"io.{key}" for key in (sizes if isinstance(sizes, dict) else ()))}
    lacking = [] if "global_step" in content else ["global_step"]
    lacking += [part for part in _PARTS if part not in has]
    if lacking:
        text = f"{path}: not written by this project, or cut: it lacks {', '.join(lacking)}."
        raise CheckpointError(f"{text} Ask for another copy.")


def _is_beside(name: object) -> bool:
    """Say whether a name is that of what a loss keeps beside its weights, such as an optimizer."""
    return isinstance(name, str) and name.startswith("loss.") and name.endswith("._extra_state")


def _network_alone(path: Path) -> Checkpoint:
    file = read_network(path)
    net = open_network(file)
    config = {
        "model": file.model,
        "io": {key: getattr(net, key) for key in ("in_channels", "out_channels", "scale")},
        "inference": InferencePolicy().as_dict(),
        "channels_last": False,
    }
    return Checkpoint(path, DictConfig(config), 0, file.about, file.weights)


def names_network(source: object) -> bool:
    """Say whether a checkpoint of that name is a network alone, without reading it."""
    return str(source).endswith(NETWORK_SUFFIX) or str(source).startswith((ZOO, HUB))


def network_of(checkpoint: Checkpoint) -> nn.Module:
    """Return the network of a checkpoint with its weights, in evaluation mode.

    Raises:
        CheckpointError: If they do not fit each other.
    """
    config = checkpoint.config.copy()
    OmegaConf.resolve(config)
    net = built(checkpoint.path, config.model)
    load_weights(net, checkpoint)
    return in_memory_order(net, channels_last=config.channels_last).eval()


def weights_hash(weights: Mapping[str, Tensor]) -> str:
    """Return SHA-256 over names and bytes of tensors, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def in_memory_order(net: nn.Module, *, channels_last: bool) -> nn.Module:
    """Return ``net`` with its weights in the order of NHWC where that is asked for."""
    if not channels_last:
        return net
    moved: nn.Module = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


def load_weights(net: nn.Module, checkpoint: Checkpoint) -> None:
    """Copy the weights into ``net``, strictly.

    Raises:
        CheckpointError: Naming what is missing, unexpected or of another shape.
    """
    try:
        net.load_state_dict(dict(checkpoint.weights))
    except RuntimeError as error:
        first, *rest = [
            shorten(line, 200, placeholder=" …") for line in str(error).splitlines()[1:]
        ]
        more = f"\n  and {len(rest) - 3} more" if len(rest) > 3 else ""
        listed = "\n  ".join([first, *rest[:3]]) + more
        raise CheckpointError(f"{checkpoint.path} does not fit the network:\n  {listed}") from error
