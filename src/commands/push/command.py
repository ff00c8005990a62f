"""Push: a network, its card and its records to the hub, in one commit."""

import importlib
import logging
import shlex
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from src.app.build import plain
from src.app.results import RESULTS, read_results
from src.commands.push.card import card
from src.core.console import make_console
from src.core.errors import CheckpointError, ConfigError, DataError
from src.core.files import sha256, write_json, write_text
from src.core.origin import origin
from src.core.paths import from_root, shown
from src.core.redact import without_folders
from src.weights.checkpoint import Checkpoint, network_of, open_checkpoint, weights_hash
from src.weights.hub import HUB, Remote, hub_api, parse, said
from src.weights.network_file import write_network
from src.weights.zoo import MODEL

logger = logging.getLogger(__name__)

CARD = "README.md"


def push(cfg: DictConfig) -> None:
    """Push what ``cfg`` names to the hub, or write it into a folder.

    Raises:
        ConfigError: If the destination has another form, or the extra is missing.
        CheckpointError: If the checkpoint is unusable, or the hub refuses or breaks off.
        DataError: If a record is damaged.
    """
    if (cfg.to is None) == (cfg.output is None):
        raise ConfigError("give to=hf://owner/name, or output=<folder> to look at it first.")
    remote = None if cfg.to is None else _destination(str(cfg.to))
    checkpoint = open_checkpoint(cfg.checkpoint)
    OmegaConf.resolve(checkpoint.config)
    console = make_console(stderr=True)
    with ExitStack() as stack:
        if remote is None:
            folder = _new_folder(from_root(cfg.output))
        else:
            folder = Path(stack.enter_context(TemporaryDirectory()))
        _write(folder, cfg, checkpoint, remote)
        if remote is None:
            console.print(f"Written     {shown(folder)}, nothing sent")
            return
        commit = _send(folder, remote, cfg, sha256(folder / MODEL))
    console.print(f"Pushed      {HUB}{remote.repository}@{commit}")


def _destination(name: str) -> Remote:
    remote = parse(name)
    if remote.revision is not None or remote.file is not None:
        raise ConfigError(f"to={name}: a repository is pushed to, to={HUB}{remote.repository}")
    return remote


def _new_folder(folder: Path) -> Path:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"output={shown(folder)} is there already and not empty; take another.")
    return folder


def _write(folder: Path, cfg: DictConfig, checkpoint: Checkpoint, remote: Remote | None) -> None:
    """Write weights, records and card into ``folder``."""
    net = network_of(checkpoint)
    whole = net.state_dict()
    weights = _halved(whole) if cfg.half else whole
    trained = {key: value for key, value in checkpoint.origin.items() if key != "run_ids"}
    about = {**trained, "checkpoint": checkpoint.path.name, "step": checkpoint.step}
    if "task" in checkpoint.config:
        about["task"] = str(checkpoint.config.task["_target_"]).rpartition(".")[2]
    records = _records(cfg.results, checkpoint)
    try:
        write_network(folder / MODEL, weights, plain(checkpoint.config.model), about)
        for name, record in records.items():
            write_json(folder / name, record)
        name = "owner/name" if remote is None else remote.repository
        text = card(
            name,
            checkpoint,
            records,
            parameters=sum(tensor.numel() for tensor in net.parameters()),
            sha256=sha256(folder / MODEL),
            license_name=cfg.license,
            rounded=any(not torch.equal(weights[key].to(one), one) for key, one in whole.items()),
        )
        write_text(folder / CARD, text)
    except OSError as error:
        raise CheckpointError(f"{shown(folder)}: {error.strerror}. Make room.") from error


def _halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights of 16 bits."""
    halved = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
    }
    for name, tensor in halved.items():
        if tensor.isinf().any() and not weights[name].isinf().any():
            raise ConfigError(
                f"half=true: {name} has numbers beyond 65504, the largest of 16 bits; leave it out."
            )
    return halved


def _records(given: str | None, checkpoint: Checkpoint) -> dict[str, dict[str, Any]]:
    """Return name in the repository → record of these weights: those given, or those beside them.

    They say nothing of this machine's folders and of the tracking of the training.
    """
    folder = checkpoint.path.parent
    folder = folder.parent if folder.name == "checkpoints" else folder
    root = folder if given is None else from_root(given)
    files = [root] if root.is_file() else sorted(root.rglob(RESULTS))
    if given is not None and not files:
        raise DataError(f"results={given}: there is no {RESULTS} at or below it.")
    records, own = {}, weights_hash(checkpoint.weights)
    for file in files:
        record = read_results(file)
        if record.get("weights_sha256") == own:
            name = RESULTS if root.is_file() else str(file.relative_to(root))
            records[name] = _public(record)
        else:
            logger.warning("%s: scores of other weights, left out", shown(file))
    if given is not None and not records:
        raise DataError(f"results={given}: there is no record of this checkpoint's weights.")
    return records


def _public(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without what is of this machine, and of nobody else."""
    command, trained = str(record.get("command")), dict(record.get("trained_by") or {})
    trained.pop("run_ids", None)
    with suppress(ValueError):  # of quotes, in a record that was changed by hand
        command = shlex.join(map(without_folders, shlex.split(command)))
    shared: dict[str, Any] = without_folders({**record, "command": command, "trained_by": trained})
    return shared


def _send(folder: Path, remote: Remote, cfg: DictConfig, digest: str) -> str:
    """Send all files in one commit; return it."""
    api, name = hub_api(str(cfg.to)), str(cfg.to)
    hub: Any = importlib.import_module("huggingface_hub")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with said(name):
        api.create_repo(remote.repository, private=cfg.private, exist_ok=True)
        operations = [
            hub.CommitOperationAdd(str(path.relative_to(folder)), str(path)) for path in files
        ]
        message = cfg.message or f"exemplar {origin()['version']}, {origin()['commit'][:12]}"
        commit: str = api.create_commit(remote.repository, operations, commit_message=message).oid
        there = api.model_info(remote.repository, revision=commit, files_metadata=True)
    stated = next((one.lfs for one in there.siblings if one.rfilename == MODEL), None)
    if stated is not None and stated["sha256"] != digest:
        raise CheckpointError(
            f"{name}: the hub states another hash of {MODEL} than was sent. Push again."
        )
    return commit
