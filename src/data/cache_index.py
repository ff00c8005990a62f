"""Remembers which content a file had, so that unchanged files are not read again."""

import hashlib
import json
import logging
import os
import time
from pathlib import Path

from src.core.files import replacing

logger = logging.getLogger(__name__)

# A file changed this recently may change again without its time stamp moving (FAT counts in 2 s).
_SETTLED_NS = 2_000_000_000


class CacheIndex:
    """The content hashes of one folder's files, each valid while size and time stamps stay.

    The index is an aid only: lost, damaged or unwritable, it costs a reading of the files.

    Args:
        cache_dir: Root of the cache.
        folder: The folder of image files.
    """

    def __init__(self, cache_dir: Path, folder: Path) -> None:
        self.folder = folder.resolve()
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:32]
        self._file = cache_dir / "index" / f"{name}.json"
        self._known = self._read()
        self._changed = False

    def get(self, path: Path) -> str | None:
        """Return the hash of an unchanged ``path``, or None."""
        known = self._known.get(path.name)
        stamp = _stamp(path)
        return str(known[-1]) if known and stamp and known[:-1] == stamp else None

    def stamp(self, path: Path) -> list[int] | None:
        """Return what :meth:`put` needs, to be taken before ``path`` is read."""
        return _stamp(path)

    def put(self, path: Path, stamp: list[int] | None, content_hash: str) -> None:
        """Remember ``content_hash`` for the content that ``path`` had at ``stamp``."""
        if stamp and time.time_ns() - max(stamp[1:]) > _SETTLED_NS:
            self._known[path.name] = [*stamp, content_hash]
            self._changed = True

    def save(self) -> None:
        """Write what changed; another process's entries of the same folder may be lost."""
        if not self._changed:
            return
        try:
            with replacing(self._file) as temporary:
                temporary.write_text(json.dumps(self._known))
        except OSError as error:
            logger.info("cache index not saved, files will be read again: %s", error)

    def _read(self) -> dict[str, list[int | str]]:
        try:
            known = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(known, dict):
            return {}
        return {name: record for name, record in known.items() if _is_record(record)}


def _is_record(record: object) -> bool:
    return isinstance(record, list) and len(record) == 4 and isinstance(record[-1], str)


def _stamp(path: Path) -> list[int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None  # reading the file will say why
    # The change time also moves when a tool sets the modification time back, as rsync does.
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
