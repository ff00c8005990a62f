"""The record of how a run went on is whole at every moment."""

import json
from pathlib import Path

from src.app.run_folder import go_on


def test_whoever_reads_the_record_of_starts_meanwhile_reads_whole_lines(tmp_path: Path) -> None:
    record = tmp_path / "resumed.jsonl"
    go_on(tmp_path, {}, [], {"step": 5, "overrides": []})
    before = record.read_text(encoding="utf-8")
    with record.open(encoding="utf-8") as meanwhile:
        go_on(tmp_path, {}, [], {"step": 10, "overrides": []})
        assert meanwhile.read() == before  # the file was replaced; a line added to it could be torn
    lines = record.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [5, 10]
