"""Records of evaluations: sought, read, and named."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from src.app.config.options import join
from src.app.results import RESULTS, read_results
from src.core.errors import ConfigError, DataError
from src.core.paths import from_root
from src.data.prepared import doubt, identify
from src.metrics.direction import higher_is_better

LEVELS = {"sigma": "σ", "noise": "σ", "quality": "quality", "scale": "×"}
"""Keys of a degradation that say how strong it is, and how they are written."""
_NUMBER = (int, float)
_SCORES = {"*": (int, float, type(None))}
_SHAPE: dict[str, Any] = {
    "name?": str,
    "protocol": {"name": str, "version": int},
    "protocol_in_words?": str,
    "degradation": {"_target_": str, "name?": str},
    "inference": {},
    "scored_by": {},
    "higher_is_better?": {"*": bool},
    "took?": {"wall_seconds": _NUMBER, "peak_memory_mib": _NUMBER, "peak_gpu_memory_mib?": _NUMBER},
    "hardware": {
        **dict.fromkeys(("processor", "torch", "system"), str),
        **dict.fromkeys(("cores", "memory_gib"), _NUMBER),
        "gpus": list,
    },
    "benchmarks": {
        "*": {
            "images": int,
            "mean": _SCORES,
            "standard_error?": _SCORES,
            "pixels?": {"*": str},
            "tile?": {"*": (int, str, type(None))},
            "restored": {"*": _SCORES},
            "input": {"*": _SCORES},
        },
    },
}
"""What is read of a record: key → types or keys below it; ``*`` is each key; with ``?`` it
may be absent, as from a record of before, or null."""


@dataclass(frozen=True)
class Record:
    """One results.json."""

    name: str  # what was scored, in tables
    folder: Path  # where it lies, with its pictures
    content: dict[str, Any]
    seeds: int = 1  # of how many trainings the scores are means
    # How far the means of these trainings are apart: image set → score → standard deviation.
    over_seeds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

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
        said = (self.content.get("higher_is_better") or {}).get(metric)
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
        pixels = board.get("pixels")
        if not pixels:
            return None
        return identify(benchmark, {key: pixels[key] for key in board["restored"] if key in pixels})

    def doubt(self, benchmark: str) -> str:
        """Return why no published score of an image set compares; else nothing."""
        return doubt(benchmark, self.images(benchmark))

    @property
    def condition(self) -> str:
        """How the images were degraded, e.g. "gaussian σ 25"; of judged ones it is not known."""
        if "restored" in self.content:
            return "restored images"
        degradation = self.content["degradation"]
        module = degradation["_target_"].rpartition(".")[0]
        kind = degradation.get("name", module.rpartition(".")[2])
        levels = [
            f"{sign} {_range(degradation[key])}".replace("× ", "×")
            for key, sign in LEVELS.items()
            if key in degradation and (key, _range(degradation[key])) != ("noise", "0")
        ]
        return " ".join([kind, *levels])


def open_records(
    given: str | Sequence[str] | Mapping[str, str], better: Mapping[str, str] | None = None
) -> list[Record]:
    """Return all records below folders, under names that tell them apart.

    ``better`` has scores and ``min`` or ``max``, whatever the records say.

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
            name or content.get("name") or file.parent.name,
            file.parent,
            {**content, "higher_is_better": {**(content.get("higher_is_better") or {}), **stated}},
        )
        for name, source in named
        for file in record_files(from_root(source))
        for content in [_well_formed(read_results(file), file)]
    ]
    return _numbered(records)


def _well_formed(content: dict[str, Any], file: Path) -> dict[str, Any]:
    """Return a record that has all that is read of it: it may come from anywhere."""
    wrong = next(_misfits(content, _SHAPE, ""), None) or next(
        (gap for name, board in content["benchmarks"].items() for gap in _gaps(board, name)), None
    )
    if wrong:
        raise DataError(
            f"{file}: {wrong}, which python -m src.evaluate does not write; make the record anew."
        )
    return content


def _misfits(node: Any, shape: Any, key: str) -> Iterator[str]:  # noqa: ANN401
    """Yield in words how ``node``, which stands at ``key``, is not of ``shape``."""
    below_it = shape if isinstance(shape, dict) else {}
    if not isinstance(node, dict if below_it is shape else shape):
        yield f"{key} is {node!r:.40}"
        return
    for name, below in below_it.items():
        needed = name.rstrip("?")
        if name == "*":
            for each, value in node.items():
                yield from _misfits(value, below, join(key, each))
        elif node.get(needed) is not None:
            yield from _misfits(node[needed], below, join(key, needed))
        elif name == needed:
            yield f"{join(key, needed)} is missing"


def _gaps(board: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield which scores of an image set are missing: each image has those of the first."""
    restored, given = board["restored"], board["input"]
    if not restored:
        yield f"benchmarks.{name}.restored has no image"
        return
    metrics = list(next(iter(restored.values())))
    means = [*metrics, *(f"{metric}_input" for metric in metrics if given)]
    rows = [("mean", means, board["mean"])]
    for part, scores in (("restored", restored), ("input", given)):
        rows += [(f"{part}.{key}", metrics, scores.get(key, ())) for key in restored if scores]
    for where, needed, row in rows:
        absent = [metric for metric in needed if metric not in row]
        if absent:
            yield f"benchmarks.{name}.{where} has no {absent[0]}"


def record_files(source: Path) -> list[Path]:
    """Return every results.json at or below ``source``, sorted; DataError if there is none."""
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
        apart.append(replace(record, name=name))
    return apart


def _range(level: Any) -> str:  # noqa: ANN401
    levels = level if isinstance(level, list) else [level]
    words = [f"{one:g}" if isinstance(one, int | float) else str(one) for one in levels]
    return "–".join(dict.fromkeys(words))
