"""Networks on the Hugging Face hub: `checkpoint=hf://owner/name[@revision][/file]`.

Only .safetensors files are taken, which cannot run code, and they are opened as any file from
anywhere. The library, an extra, is kept from reporting use, and from a protocol of its own for
large files: what is asked is plain HTTP. ``HF_ENDPOINT``, ``HF_TOKEN`` and ``HF_HUB_OFFLINE`` are
its own variables.
"""

import hashlib
import importlib
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from src.core.errors import CheckpointError, ConfigError, ExemplarError, need
from src.core.files import sha256, write_text
from src.core.paths import user_cache
from src.core.redact import on_one_line

logger = logging.getLogger(__name__)

HUB = "hf://"
"""How the name of a checkpoint begins that is on the hub."""

TENSORS = ".safetensors"
_PICKLES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")
_QUIET = ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_UPDATE_CHECK", "HF_HUB_DISABLE_XET")
_FORM = re.compile(
    r"hf://(?P<repository>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w.-]*))?(/(?P<file>.+))?", re.ASCII
)


@dataclass(frozen=True)
class Remote:
    """What a name on the hub says."""

    repository: str  # ``owner/name``
    revision: str | None  # Branch, tag or commit; None is the default branch
    file: str | None  # of the repository; None where it has one that fits


def is_remote(name: object) -> bool:
    """Return whether a checkpoint of that name is on the hub."""
    return str(name).startswith(HUB)


def parse(name: str) -> Remote:
    """Return the parts of ``hf://owner/name[@revision][/file]``.

    Raises:
        ConfigError: If it is of another form, or names a file that is no .safetensors file.
    """
    match = _FORM.fullmatch(name)
    if match is None:
        raise ConfigError(f"{name}: write hf://owner/name[@revision][/file], e.g. hf://me/denoiser")
    remote = Remote(match["repository"], match["revision"], match["file"])
    if remote.file is not None and not remote.file.endswith(TENSORS):
        raise ConfigError(
            f"{name}: of the hub only {TENSORS} files are taken; others may run code."
        )
    return remote


def hub_file(name: str) -> Path:
    """Return the local copy of a network on the hub, downloaded where it is not there yet.

    Without a connection the copy of an earlier start serves, which is said.

    Raises:
        CheckpointError: If it cannot be had, is not what the hub says, or it is not clear which
            file is meant.
        ConfigError: If the name has another form, or the extra is missing.
    """
    remote, api = parse(name), hub_api(name)
    try:
        with said(name):
            about = api.model_info(
                remote.repository, revision=remote.revision, files_metadata=True, timeout=30
            )
    except _UnreachableError as error:
        return _earlier(name, remote, error)
    sizes = {file.rfilename: file for file in about.siblings or ()}
    chosen = sizes[_chosen(name, remote, list(sizes))]
    with said(name):
        path = Path(
            api.hf_hub_download(
                remote.repository, chosen.rfilename, revision=about.sha, cache_dir=_cache()
            )
        )
    _check(name, path, chosen)
    with suppress(OSError):  # a cache that can only be read
        write_text(_reference(remote), path.relative_to(_snapshots(remote)).parts[0])
    return path


def pinned(name: str) -> str:
    """Return a name that stands for the same bytes for ever: with commit and file."""
    path = hub_file(name)
    where = described(name, path)
    logger.info("%s: commit %s, SHA-256 %s", name, where["revision"], where["sha256"])
    return f"{HUB}{where['repository']}@{where['revision']}/{where['file']}"


def described(name: str, path: Path) -> dict[str, str]:
    """Return repository, commit, file and SHA-256 of what :func:`hub_file` returned."""
    commit, *file = path.relative_to(_snapshots(parse(name))).parts
    return {
        "repository": parse(name).repository,
        "revision": commit,
        "file": "/".join(file),
        "sha256": sha256(path),
    }


def hub_api(asked: str) -> Any:  # noqa: ANN401  of an extra
    """Return the hub's client; ConfigError if the extra is missing."""
    need("huggingface_hub", extra="hub", asked=asked)
    quiet = _QUIET if sys.stderr.isatty() else (*_QUIET, "HF_HUB_DISABLE_PROGRESS_BARS")
    os.environ.update(dict.fromkeys(quiet, "1"))  # read at its import
    constants: Any = importlib.import_module("huggingface_hub.constants")
    for key in quiet:  # the same, where another package has imported it before
        setattr(constants, key, True)
    download: Any = importlib.import_module("huggingface_hub.file_download")
    if not isinstance(download.get_hf_file_metadata, partial):
        download.get_hf_file_metadata = partial(_inside, download.get_hf_file_metadata)
    hub: Any = importlib.import_module("huggingface_hub")
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it says each request
    return hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"))


def _inside(ask: Any, *words: Any, **more: Any) -> Any:  # noqa: ANN401
    """Return what the hub says of a file; the client takes its tag for a file's name."""
    about = ask(*words, **more)
    if re.fullmatch(r"[\w-]*", about.etag or "") is None:
        raise ValueError(f"the hub gives the file a name out of the cache, {about.etag!r}")
    return about


class _UnreachableError(CheckpointError):
    """There is no connection."""


@contextmanager
def said(name: str) -> Iterator[None]:
    """Turn what the hub's client raises into sentences.

    Raises:
        CheckpointError: Saying what to do.
        ConfigError: If the hub has no such names.
    """
    errors: Any = importlib.import_module("huggingface_hub.errors")
    try:
        yield
    except (OSError, RuntimeError, ValueError, errors.HTTPError) as error:
        raise _as_ours(name, error, errors) from error
    except (AttributeError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{name}: what came is no answer of a hub. Look at the address in HF_ENDPOINT."
        ) from error


def _as_ours(name: str, error: Exception, errors: Any) -> ExemplarError:  # noqa: ANN401
    """Return an error of ours in place of one of the client, or of what has caused that."""
    wrapped = isinstance(error, errors.LocalEntryNotFoundError) or type(error) is RuntimeError
    cause = error.__cause__ if wrapped and error.__cause__ is not None else error
    for kind, reason in (
        (errors.GatedRepoError, f"its owner gives access on request: ask for it there. {_TOKEN}"),
        (errors.RevisionNotFoundError, "the repository has no such revision."),
        (errors.RemoteEntryNotFoundError, "the repository has no such file."),
    ):
        if isinstance(cause, kind):
            return CheckpointError(f"{name}: {reason}")
    if isinstance(cause, errors.HFValidationError):
        return ConfigError(f"{name}: {_line(cause)}")
    if isinstance(cause, errors.HfHubHTTPError):
        return CheckpointError(f"{name}: {_status(cause)}")
    if type(cause) is ValueError:  # not one of JSON's, as of a page that asks for a password
        return CheckpointError(f"{name}: refused, {_line(cause)}")
    if isinstance(cause, OSError) and cause.errno is not None:
        return CheckpointError(f"{name}: {cause.strerror}. Make room, or set EXEMPLAR_CACHE.")
    return _UnreachableError(
        f"{name}: the hub cannot be reached, or the connection broke ({_line(cause)}). Try again."
    )


_TOKEN = "Of a private one set HF_TOKEN, or run: hf auth login"  # noqa: S105  no password


def _status(error: Any) -> str:  # noqa: ANN401  of an extra
    status = error.response.status_code
    if status in {401, 403, 404}:
        return f"no such repository, or no right to it (status {status}). {_TOKEN}"
    if status == 429:
        return "too many requests, says the hub (status 429). Wait some minutes and try again."
    return f"the hub refuses ({_line(error)}). Try again later."


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _cache() -> Path:
    return (user_cache() / "hub").resolve()  # as the client returns what is in it


def _snapshots(remote: Remote) -> Path:
    """Return where the client keeps the commits of a repository."""
    return _cache() / f"models--{remote.repository.replace('/', '--')}" / "snapshots"


def _reference(remote: Remote) -> Path:
    """Return the file that says which commit a branch or tag was, as the client has it."""
    return _snapshots(remote).with_name("refs") / (remote.revision or "main")


def _chosen(name: str, remote: Remote, files: list[str]) -> str:
    """Return the file that is meant."""
    fitting = [file for file in files if file.endswith(TENSORS)]
    if remote.file is not None and remote.file in fitting:
        return remote.file
    if len(fitting) == 1 and remote.file is None:
        return fitting[0]
    base = f"{HUB}{remote.repository}" + (f"@{remote.revision}" if remote.revision else "")
    if fitting:
        listed = "".join(f"\n  {base}/{on_one_line(file)}" for file in sorted(fitting)[:10])
        raise CheckpointError(f"{name}: which file? Give one of{listed}")
    pickles = sorted(on_one_line(file) for file in files if file.endswith(_PICKLES))
    why = f"but {', '.join(pickles[:3])}, which may run code" if pickles else "at all"
    raise CheckpointError(
        f"{name}: refused, because it has no {TENSORS} file {why}. Ask its owner for one; nothing "
        "was downloaded."
    )


def _check(name: str, path: Path, said_of_it: Any) -> None:  # noqa: ANN401
    """Compare a download with the size and hash that the hub states; remove what differs."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{name}: {path}: {error.strerror}. Remove it.") from error
    lfs: Mapping[str, Any] | None = said_of_it.lfs
    if lfs is not None:
        whole = hashlib.sha256(content).hexdigest() == lfs["sha256"]
    else:  # as git names it
        head = f"blob {len(content)}\0".encode()
        digest = hashlib.sha1(head + content, usedforsecurity=False).hexdigest()
        whole = digest == said_of_it.blob_id
    if not whole or len(content) != said_of_it.size:
        if path.resolve().is_relative_to(_cache()):  # not what a stranger's link leads to
            path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise CheckpointError(
            f"{name}: what came is not what the hub states (size or hash differ). It was removed; "
            "try again, and tell the owner if it stays so."
        )


def _earlier(name: str, remote: Remote, error: CheckpointError) -> Path:
    """Return what an earlier start has downloaded."""
    folder, reference = _snapshots(remote), _reference(remote)
    known = reference.read_text("utf-8").strip() if reference.is_file() else remote.revision
    commits = sorted(folder.glob(known or "*"), key=lambda one: one.stat().st_mtime)
    for commit in reversed(commits):
        files = [str(path.relative_to(commit)) for path in commit.rglob(f"*{TENSORS}")]
        if files:
            file = commit / _chosen(name, remote, files)
            logger.warning(
                "%s: no connection; commit %s is taken, as it is here", name, commit.name
            )
            return file
    raise error
