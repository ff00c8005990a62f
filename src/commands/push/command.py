"""Push: a network, its card and its records to the hub, in one commit."""

import importlib
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.app.build import plain
from src.app.results import RESULTS, read_results
from src.commands.push.card import card
from src.core.console import make_console
from src.core.errors import CheckpointError, ConfigError, DataError
from src.core.files import sha256, write_json, write_text
from src.core.origin import origin
from src.core.paths import from_root, shown
from src.weights.checkpoint import Checkpoint, network_of, open_checkpoint
from src.weights.hub import HUB, Remote, hub_api, parse, said
from src.weights.network_file import write_network
from src.weights.zoo import MODEL

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
    weights = net.state_dict()
    if cfg.half:
        weights = {
            name: tensor.half() if tensor.is_floating_point() else tensor
            for name, tensor in weights.items()
        }
    about = {**checkpoint.origin, "checkpoint": checkpoint.path.name, "step": checkpoint.step}
    if "task" in checkpoint.config:
        about["task"] = str(checkpoint.config.task["_target_"]).rpartition(".")[2]
    try:
        write_network(folder / MODEL, weights, plain(checkpoint.config.model), about)
        records = _records(cfg.results, checkpoint)
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
        )
        write_text(folder / CARD, text)
    except OSError as error:
        raise CheckpointError(f"{shown(folder)}: {error.strerror}. Make room.") from error


def _records(given: str | None, checkpoint: Checkpoint) -> dict[str, dict[str, Any]]:
    """Return name in the repository → record: those given, or those beside the checkpoint."""
    folder = checkpoint.path.parent
    folder = folder.parent if folder.name == "checkpoints" else folder
    root = folder if given is None else from_root(given)
    files = [root] if root.is_file() else sorted(root.rglob(RESULTS))
    if given is not None and not files:
        raise DataError(f"results={given}: there is no {RESULTS} at or below it.")
    if root.is_file():
        return {RESULTS: read_results(root)}
    return {str(file.relative_to(root)): read_results(file) for file in files}


def _send(folder: Path, remote: Remote, cfg: DictConfig, digest: str) -> str:
    """Send all files in one commit; return it.

    Raises:
        CheckpointError: If the hub refuses, breaks off, or states another hash than was sent.
    """
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
