"""Records of evaluations: found, read, and named."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.app.results import RESULTS, read_results
from src.core.errors import DataError
from src.core.paths import from_root

LEVELS = {"sigma": "σ", "quality": "quality", "scale": "×"}
"""Keys of a degradation that say how strong it is, and how they are written."""


@dataclass(frozen=True)
class Record:
    """One results.json.

    Attributes:
        name: What was scored, in tables.
        folder: Where it lies, with its pictures.
        content: What it holds.
    """

    name: str
    folder: Path
    content: dict[str, Any]

    @property
    def benchmarks(self) -> dict[str, Any]:
        """Image set → means, standard errors and per-image scores."""
        held: dict[str, Any] = self.content["benchmarks"]
        return held

    @property
    def protocol(self) -> str:
        """Name and version of the protocol."""
        protocol = self.content["protocol"]
        return f"{protocol['name']} v{protocol['version']}"

    @property
    def condition(self) -> str:
        """How the images were degraded, e.g. "gaussian σ 25"."""
        degradation = self.content["degradation"]
        kind = str(degradation["_target_"]).split(".")[-2]
        levels = [
            f"{sign} {_range(degradation[key])}".replace("× ", "×")
            for key, sign in LEVELS.items()
            if key in degradation
        ]
        return " ".join([kind, *levels])


def open_records(given: str | Sequence[str] | Mapping[str, str]) -> list[Record]:
    """Return all records below folders, under names that tell them apart.

    Args:
        given: A folder or file, several, or name → folder or file.

    Raises:
        DataError: If one of them is not there or holds no record.
    """
    named: list[tuple[str | None, str]]
    if isinstance(given, str):
        named = [(None, given)]
    elif isinstance(given, Mapping):
        named = [(str(name), source) for name, source in given.items()]
    else:
        named = [(None, source) for source in given]
    found = [
        Record(name or str(content.get("name", file.parent.name)), file.parent, content)
        for name, source in named
        for file in record_files(from_root(source))
        for content in [read_results(file)]
    ]
    return _told_apart(found)


def record_files(place: Path) -> list[Path]:
    """Return every results.json at or below ``place``, sorted.

    Raises:
        DataError: If there is none.
    """
    if place.is_file():
        return [place]
    files = sorted(place.rglob(RESULTS))
    if not files:
        raise DataError(
            f"{place}: there is no {RESULTS} at or below it. Make one with "
            "python -m src.evaluate checkpoint=… output=…"
        )
    return files


def _told_apart(records: list[Record]) -> list[Record]:
    """Number records that score the same thing under one name."""
    seen: Counter[tuple[str, ...]] = Counter()
    apart = []
    for record in records:
        place = (record.name, record.protocol, record.condition, *sorted(record.benchmarks))
        seen[place] += 1
        name = record.name if seen[place] == 1 else f"{record.name} ({seen[place]})"
        apart.append(Record(name, record.folder, record.content))
    return apart


def _range(level: Any) -> str:  # noqa: ANN401
    if not isinstance(level, list):
        return f"{level:g}"
    low, high = level
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"
