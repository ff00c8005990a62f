"""Checkpoints of a training are written whole or not at all.

The last one and the one before it are kept: a damaged file costs an interval, not the run.
"""

import os
import secrets
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import CheckpointIO

from src.core.errors import CheckpointError
from src.core.files import replacing
from src.core.locks import OwnFolder
from src.weights.checkpoint_file import LAST, PREVIOUS, read


class AtomicCheckpointIO(CheckpointIO):
    """Write to a temporary file beside the target, flush it to disk, then rename it over.

    Args:
        own: The run folder that all targets are in; None writes anywhere.
    """

    def __init__(self, own: OwnFolder | None = None) -> None:
        self._own = own

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,  # noqa: ANN401
    ) -> None:
        """Write ``checkpoint``; an earlier file of that name is intact until the new one is whole.

        What ``last.ckpt`` was before is ``previous.ckpt`` afterwards.

        Raises:
            CheckpointError: If the disk is full, or the folder cannot be written.
            DataError: If the run folder was moved or removed.
        """
        target = Path(path)
        if self._own is not None:
            self._own.check()
        try:
            with replacing(target) as temporary:
                with temporary.open("wb") as file:
                    torch.save(checkpoint, file)
                if target.name == LAST:
                    keep_previous(target)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            if "DataLoader worker" in str(error):  # raised wherever the process is just then
                raise
            if self._own is not None:
                self._own.check()  # it may have gone meanwhile
            reason = getattr(error, "strerror", None) or str(error)
            raise CheckpointError(
                f"{target} cannot be written: {reason}. Make room or set paths.output_root to "
                "another disk; the previous checkpoint is untouched."
            ) from error

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any | None = None,  # noqa: ANN401
        weights_only: bool | None = True,
    ) -> dict[str, Any]:
        """Read a checkpoint; ``weights_only`` is always true."""
        return read(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint that is no longer wanted."""
        Path(path).unlink(missing_ok=True)


def keep_previous(last: Path) -> None:
    """Let ``previous.ckpt`` be what ``last`` is now; call it just before ``last`` is replaced.

    A second name for the same file, so that it costs neither time nor, until ``last`` is replaced,
    space; at each moment ``last`` or both are whole. Where a file system has no second names,
    ``last`` is renamed, and for a moment only ``previous.ckpt`` is there.
    """
    if not last.is_file():
        return  # damaged and set aside, or the first one: what is there stays
    previous = last.with_name(PREVIOUS)
    name = last.with_name(f".{previous.stem}.{secrets.token_hex(8)}.tmp{previous.suffix}")
    try:
        os.link(last, name)
    except OSError:
        last.replace(previous)
    else:
        name.replace(previous)
