"""Which records may be compared, and which are taken together: seeds of one training, groups."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from src.app.config.schema import leaves
from src.app.config.validate import show
from src.commands.report.records import Record
from src.core.errors import DataError

SAME_INPUT = 1e-3
"""Scores of untouched inputs may differ by this much (dB) between machines, not by more."""


def refuse_unlike(first: Record, second: Record) -> None:
    """Refuse to compare records that did not score the same thing.

    Raises:
        DataError: Naming each difference.
    """
    unlike = [
        f"{part}.{key}: {one} | {other}"
        for part in ("protocol", "degradation")
        for key, one, other in _differing(_part(first, part), _part(second, part))
    ]
    unlike += [
        f"noise_seeds: {one} | {other}"
        for one, other in [[of.content.get("noise_seeds", [0]) for of in (first, second)]]
        if one and other and one != other
    ]
    unlike += [
        f"{name}: only in {owner.name}"
        for owner, absent in ((first, second), (second, first))
        for name in owner.benchmarks.keys() - absent.benchmarks.keys()
    ]
    for name in sorted(first.benchmarks.keys() & second.benchmarks.keys()):
        unlike += _unlike_images(name, first.benchmarks[name], second.benchmarks[name])
    if unlike:
        raise DataError(
            f"{first.name} ({first.folder}) and {second.name} ({second.folder}) cannot be "
            "compared; score both on the same images under the same protocol:\n  "
            + "\n  ".join(unlike)
        )


def _part(record: Record, part: str) -> dict[str, Any]:
    """Return ``protocol`` or ``degradation``, with what records of before did not have to say."""
    return {**_WAS[part], **record.content[part]}


_WAS: dict[str, dict[str, Any]] = {
    "protocol": {"multiple": "cut", "luma": "bt601", "clip": False},
    "degradation": {"border": "replicate"},
}


def pooled(records: Sequence[Record], name: str) -> Record:
    """Return one record of several whose trainings differ in their seed alone.

    The score of each image is the mean over them; its ``over_seeds`` say how far their means over
    images are apart.

    Raises:
        DataError: If they differ in anything else.
    """
    first = records[0]
    for other in records[1:]:
        refuse_unlike(first, other)
        keys = {key for key, _, _ in other_differences(first, other)} - {"step"}
        others = sorted(key for key in keys if not key.endswith("seed"))
        if others or "training.seed" not in keys:
            folders = "".join(f"\n  {record.folder}" for record in records)
            what = ", ".join(others) or "nothing that they record"
            raise DataError(
                f"{name} holds {len(records)} records, which differ in {what}; only those of other "
                f"seeds are taken together. Name one of them:{folders}"
            )
    boards = {name: [record.benchmarks[name] for record in records] for name in first.benchmarks}
    content = {
        **first.content,
        "benchmarks": {
            name: {**alike[0], "restored": _mean_scores([board["restored"] for board in alike])}
            for name, alike in boards.items()
        },
    }
    deviations = {
        name: {
            metric: statistics.stdev(board["mean"][metric] for board in alike)
            for metric in alike[0]["mean"]
            if all(board["mean"].get(metric) is not None for board in alike)
        }
        for name, alike in boards.items()
    }
    named = f"{name} ({len(records)} seeds)"
    return Record(named, first.folder, content, len(records), deviations)


def _mean_scores(boards: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    return {
        key: {
            metric: statistics.fmean(scores) if None not in scores else None
            for metric in row
            for scores in [[board[key][metric] for board in boards]]
        }
        for key, row in boards[0].items()
    }


_BESIDE = (
    *("step", "parameters", "model", "inference", "dtype", "read_as"),
    *("training", "trained_by", "scored_by"),
)
"""Parts of a record that may move scores and do not say what was scored."""


def other_differences(first: Record, second: Record) -> list[tuple[str, str, str]]:
    """Return (key, value of the first, of the second) of all else that may have moved the scores.

    What a record does not say, as one of an earlier version, is ``not recorded``.
    """

    def told(record: Record) -> dict[str, str]:
        parts = {key: record.content.get(key) for key in _BESIDE}
        parts["tile"] = {name: _tiles(board) for name, board in record.benchmarks.items()}
        return {path: show(value) for path, value in leaves(parts) if value is not None}

    return [
        (key, str(one or "not recorded"), str(other or "not recorded"))
        for key, one, other in _differing(told(first), told(second))
    ]


def _tiles(board: Mapping[str, Any]) -> str | None:
    """Return in words the tiles in which how many images went through the network."""
    tiles = (board.get("tile") or {}).values()
    counts = Counter("whole" if tile is None else tile for tile in tiles)
    ways = [f"{tile} ({count})" for tile, count in sorted(counts.items(), key=str)]
    return ", ".join(ways) or None


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    keys = dict.fromkeys([*one, *other])
    return [(key, one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)]


def _unlike_images(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    alone = sorted(one["restored"].keys() ^ other["restored"].keys())
    if alone:
        return [f"{name}: only one of them has the images {', '.join(alone[:5])}"]
    if one.get("pixels") and other.get("pixels"):
        other_pixels = [key for key, _, _ in _differing(one["pixels"], other["pixels"])]
        if other_pixels:
            return [f"{name}: the images differ in their pixels: {', '.join(other_pixels[:5])}"]
    for key, scores in one["input"].items():
        for metric, score in scores.items():
            seen = other["input"].get(key, {}).get(metric)
            if None not in {score, seen} and abs(score - seen) > SAME_INPUT:
                return [f"{name}: the inputs differ, e.g. {key}: {metric} {score:.4f} | {seen:.4f}"]
    return []


@dataclass(frozen=True)
class Group:
    """Records that scored the same images under the same protocol and degradation."""

    benchmark: str  # image set
    records: tuple[Record, ...]  # unlike in what was scored only

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """Name → image → metric → score; first the untouched input, if known, then each record."""
        untouched = self.records[0].benchmarks[self.benchmark]["input"]
        ours = {
            record.name: record.benchmarks[self.benchmark]["restored"] for record in self.records
        }
        return {"input": untouched, **ours} if untouched else ours


def group_records(records: Sequence[Record]) -> list[Group]:
    """Return records in groups that may be compared, in the order in which they came."""
    groups: list[Group] = []
    for record in records:
        for benchmark in record.benchmarks:
            alone = _only(record, benchmark)
            fitting = (i for i, group in enumerate(groups) if _belongs(alone, group))
            index = next(fitting, None)
            if index is None:
                groups.append(Group(benchmark, (alone,)))
            else:
                groups[index] = Group(benchmark, (*groups[index].records, alone))
    return groups


def _only(record: Record, benchmark: str) -> Record:
    one = {**record.content, "benchmarks": {benchmark: record.benchmarks[benchmark]}}
    return Record(record.name, record.folder, one)


def _belongs(record: Record, group: Group) -> bool:
    try:
        refuse_unlike(group.records[0], record)
    except DataError:
        return False
    return True
