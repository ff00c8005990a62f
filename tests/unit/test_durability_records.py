"""The records of what a run survives: whole, and with nothing in them that is wrong."""

import json
from typing import Any

import pytest

from src.core.paths import ROOT
from tests.support.faults.every import ALL

RECORDS = ROOT / "experiments/durability"


def _read(name: str) -> Any:  # noqa: ANN401
    return json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))


def test_the_record_holds_every_fault_with_the_outcome_that_it_should_have() -> None:
    faults = _read("faults")["faults"]
    assert [entry["name"] for entry in faults] == [fault.name for fault in ALL]
    assert [entry["name"] for entry in faults if entry["wrong"]] == []
    table = (RECORDS / "faults.md").read_text(encoding="utf-8")
    assert all(f"| {fault.name} |" in table for fault in ALL)


@pytest.mark.parametrize(("name", "kills"), [("kills_1", 50), ("kills_2", 10)])
def test_the_kills_have_lost_nothing(name: str, kills: int) -> None:
    record = _read(name)
    assert record["holds"]
    assert len(record["kills"]) == kills
    assert record["verdict"]["differences"] == []
