"""Records of evaluations: sought, read, and named."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.app.results import RESULTS, read_results
from src.core.errors import ConfigError, DataError
from src.core.paths import from_root
from src.data.prepared import doubt, identify
from src.metrics.direction import higher_is_better

LEVELS = {"sigma": "σ", "quality": "quality", "scale": "×"}
"""Keys of a degradation that say how strong it is, and how they are written."""


@dataclass(frozen=True)
class Record:
    """One results.json."""

    name: str  # what was scored, in tables
    folder: Path  # where it lies, with its pictures
    content: dict[str, Any]

    @property
    def benchmarks(self) -> dict[str, Any]:
        """Image set → means, standard errors and per-image scores."""
        benchmarks: dict[str, Any] = self.content["benchmarks"]
        return benchmarks

    @property
    def protocol(self) -> str:
        """Name and version of the protocol."""
        protocol = self.content["protocol"]
        return f"{protocol['name']} v{protocol['version']}"

    def higher_is_better(self, metric: str) -> bool:
        """Return whether more of a score is better: as the record says, or by its name.

        Raises:
            ConfigError: If neither says it.
        """
        said = self.content.get("higher_is_better", {}).get(metric)
        more = higher_is_better(metric) if said is None else bool(said)
        if more is None:
            raise ConfigError(
                f"{metric} of {self.name}: nothing says whether more or less is better; add "
                f"better={{{metric}:min}} or better={{{metric}:max}}."
            )
        return more

    def images(self, benchmark: str) -> dict[str, Any] | None:
        """Return which images were scored, by their pixels; None where these are not recorded."""
        board = self.benchmarks[benchmark]
        pixels = board.get("pixels") or {}
        return (
            identify(benchmark, {key: pixels[key] for key in board["restored"] if key in pixels})
            if pixels
            else None
        )

    def doubt(self, benchmark: str) -> str:
        """Return why no published score of an image set compares; else nothing."""
        return doubt(benchmark, self.images(benchmark))

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


def open_records(
    given: str | Sequence[str] | Mapping[str, str], better: Mapping[str, str] | None = None
) -> list[Record]:
    """Return all records below folders, under names that tell them apart.

    Args:
        given: A folder or file, several, or name → folder or file.
        better: Score → ``min`` or ``max``, whatever the records say.

    Raises:
        ConfigError: If something else is called better.
        DataError: If one of them is not there or holds no record.
    """
    for metric, mode in (better or {}).items():
        if mode not in {"min", "max"}:
            raise ConfigError(f"better={{{metric}:{mode}}}: min or max.")
    stated = {metric: mode == "max" for metric, mode in (better or {}).items()}
    named: list[tuple[str | None, str]]
    if isinstance(given, str):
        named = [(None, given)]
    elif isinstance(given, Mapping):
        named = [(str(name), source) for name, source in given.items()]
    else:
        named = [(None, source) for source in given]
    records = [
        Record(
            name or str(content.get("name", file.parent.name)),
            file.parent,
            {**content, "higher_is_better": {**content.get("higher_is_better", {}), **stated}},
        )
        for name, source in named
        for file in record_files(from_root(source))
        for content in [read_results(file)]
    ]
    return _numbered(records)


def record_files(source: Path) -> list[Path]:
    """Return every results.json at or below ``source``, sorted.

    Raises:
        DataError: If there is none.
    """
    if source.is_file():
        return [source]
    files = sorted(source.rglob(RESULTS))
    if not files:
        raise DataError(
            f"{source}: there is no {RESULTS} at or below it. Make one with "
            "python -m src.evaluate checkpoint=… output=…"
        )
    return files


def _numbered(records: list[Record]) -> list[Record]:
    """Number records that score the same thing under one name."""
    seen: Counter[tuple[str, ...]] = Counter()
    apart = []
    for record in records:
        what = (record.name, record.protocol, record.condition, *sorted(record.benchmarks))
        seen[what] += 1
        name = record.name if seen[what] == 1 else f"{record.name} ({seen[what]})"
        apart.append(Record(name, record.folder, record.content))
    return apart


def _range(level: Any) -> str:  # noqa: ANN401
    if not isinstance(level, list):
        return f"{level:g}"
    low, high = level
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"
