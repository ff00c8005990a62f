"""Files that are either whole or not there."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block succeeds.

    Several processes may write the same ``path`` at once: the last one wins, readers see one whole
    file or the other. When the block fails, a full disk included, nothing is left behind.

    Args:
        path: The file to write; its folder is made when missing.

    Raises:
        OSError: As from the operating system.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem[:64]}.{secrets.token_hex(8)}.tmp{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # else a power cut may leave a file of the right size, of zeros
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
