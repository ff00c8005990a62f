"""Records that scored the same thing, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from src.commands.report.comparison import refuse_unlike
from src.commands.report.records import Record
from src.core.errors import DataError


@dataclass(frozen=True)
class Group:
    """Records that scored the same images under the same protocol and degradation.

    Attributes:
        benchmark: Image set.
        records: Unlike in what was scored only.
    """

    benchmark: str
    records: tuple[Record, ...]

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """Name → image → metric → score; first the untouched input, then each record."""
        untouched = self.records[0].benchmarks[self.benchmark]["input"]
        ours = {
            record.name: record.benchmarks[self.benchmark]["restored"] for record in self.records
        }
        return {"input": untouched, **ours}


def group_records(records: Sequence[Record]) -> list[Group]:
    """Return records in groups that may be compared, in the order in which they came."""
    groups: list[Group] = []
    for record in records:
        for benchmark in record.benchmarks:
            alone = _only(record, benchmark)
            place = next((g for g in groups if _belongs(alone, g)), None)
            if place is None:
                groups.append(Group(benchmark, (alone,)))
            else:
                groups[groups.index(place)] = Group(benchmark, (*place.records, alone))
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
