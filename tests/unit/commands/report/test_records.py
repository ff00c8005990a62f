import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from src.commands.report.comparison import compare
from src.commands.report.page import write_page
from src.commands.report.records import open_records
from src.core.errors import ConfigError, DataError
from tests.support.evaluations import write_evaluation

WRONG: tuple[Any, ...] = (None, "x", {"a": 1})


@pytest.mark.long
def test_a_record_edited_by_hand_is_used_or_refused_in_a_sentence(tmp_path: Path) -> None:
    took = {"wall_seconds": 1.0, "peak_memory_mib": 2.0, "peak_gpu_memory_mib": 3.0}
    about = {"took": took, "higher_is_better": {"psnr": True}, "seen": {"a": "8x8:0", "b": "8x8:1"}}
    for name in ("a", "b"):
        write_evaluation(tmp_path / name, {"a": 30.0, "b": 31.0}, name=name, **about)
    file = tmp_path / "a/results.json"
    record = json.loads(file.read_text())
    refused: dict[tuple[str, ...], str] = {}
    for path in _paths(record):
        for wrong in WRONG:
            file.write_text(json.dumps(_with(record, path, wrong)))
            try:
                records = open_records([str(tmp_path / "a"), str(tmp_path / "b")])
            except DataError as error:
                refused[path] = str(error)
                continue
            write_page(tmp_path / "page.html", records, "a title", images=1, crop=8)
            try:
                compare(*records)
            except (ConfigError, DataError):
                continue
    assert {("protocol",), ("hardware", "cores"), ("benchmarks", "photos", "mean")} <= {*refused}
    assert all(said.startswith(f"{file}: ") for said in refused.values())


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("protocol", "name"), None, "protocol.name is missing"),
        (("hardware", "cores"), "two", "hardware.cores is 'two'"),
        (("benchmarks", "photos", "restored", "b"), {}, "benchmarks.photos.restored.b has no"),
        (("benchmarks", "photos", "restored"), {}, "benchmarks.photos.restored has no image"),
        (("benchmarks", "photos", "mean"), {}, "benchmarks.photos.mean has no psnr"),
        (("benchmarks", "photos", "input"), {"b": {"psnr": 1}}, "benchmarks.photos.input.a has no"),
    ],
)
def test_the_refusal_names_the_key(
    path: tuple[str, ...], value: object, says: str, tmp_path: Path
) -> None:
    write_evaluation(tmp_path, {"a": 30.0, "b": 31.0})
    file = tmp_path / "results.json"
    file.write_text(json.dumps(_with(json.loads(file.read_text()), path, value)))
    with pytest.raises(DataError, match=says):
        open_records(str(tmp_path))


@pytest.mark.parametrize("number", ["NaN", "1" + 400 * "0"])
def test_a_number_that_is_none_is_refused(number: str, tmp_path: Path) -> None:
    write_evaluation(tmp_path, {"a": 123.0})
    file = tmp_path / "results.json"
    file.write_text(file.read_text().replace("123.0", number))
    with pytest.raises(DataError, match="number"):
        open_records(str(tmp_path))


def _paths(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:  # noqa: ANN401
    for key, value in node.items() if isinstance(node, dict) else ():
        yield (*path, key)
        yield from _paths(value, (*path, key))


def _with(record: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    """Return a copy of ``record`` with another value at ``path``."""
    changed = copy.deepcopy(record)
    node = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return changed
