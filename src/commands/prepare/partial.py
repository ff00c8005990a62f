"""A download that is not finished: its bytes, and what they belong to."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from src.core.files import replacing


@dataclass(frozen=True)
class Origin:
    """What a server said about the file that it began to send.

    Attributes:
        url: The address asked for.
        validator: Its strong ETag or its date of change, by which the server knows whether the
            file is still the same; None if it names none.
        total: Size of the whole file in bytes; None if it does not say.
    """

    url: str
    validator: str | None
    total: int | None


class Partial:
    """The file ``<target>.part`` and, beside it, where it comes from.

    Args:
        target: What it becomes when it is whole.
    """

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def origin(self) -> Origin | None:
        """Return where the bytes come from; None where that is not known, so that none count."""
        try:
            held = json.loads(self._note.read_text())
            return Origin(held["url"], held["validator"], held["total"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def begin(self, origin: Origin) -> None:
        """Start with no bytes; OSError if the folder cannot be written."""
        self.path.unlink(missing_ok=True)
        with replacing(self._note) as temporary:
            temporary.write_text(json.dumps(asdict(origin)))

    def finish(self, target: Path) -> None:
        """Put the bytes in place."""
        self.path.replace(target)
        self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Forget the bytes."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
