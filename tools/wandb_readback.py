"""Reads back what W&B has written offline: the records of a ``.wandb`` file, checksums verified.

wandb 0.31 has no reader of its own any more. The file is a LevelDB log (blocks of 32 KiB, records
cut at their ends) after seven bytes of header; each record is a protobuf message of wandb's.

``python -m tools.wandb_readback <run folder>`` prints how much of each kind is there.
"""

import json
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

MAGIC, HEADER, BLOCK, FRAME = b":W&B", 7, 32768, struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class RunFile:
    """What one run file holds."""

    # Identity and grouping: ``id``, ``project``, ``group``, ``job_type``, ``name``.
    run: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)  # key → value
    # One a call of ``log``: key → value, nested keys joined by ``/``.
    rows: list[dict[str, Any]] = field(default_factory=list)
    # Glob or name of a defined metric → name of its x-axis.
    metrics: dict[str, str] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)  # names of the logged artifacts
    exits: list[int] = field(default_factory=list)  # exit codes; a run that was closed once has one

    def media(self, kind: str) -> list[dict[str, Any]]:
        """Return the entries of a kind of media, e.g. ``images/separated`` or ``table-file``."""
        entries = [value for row in self.rows for value in row.values() if isinstance(value, dict)]
        return [entry for entry in entries if entry.get("_type") == kind]

    def scalars(self) -> dict[str, list[float]]:
        """Return metric → its values in order, without W&B's own (``_step`` and the like)."""
        found: dict[str, list[float]] = {}
        for row in self.rows:
            for key, value in row.items():
                if isinstance(value, int | float) and not key.startswith("_"):
                    found.setdefault(key, []).append(value)
        return found


def find_run_files(folder: Path) -> list[Path]:
    """Return the run files below a run folder of ours, oldest first."""
    return sorted(folder.glob("wandb/*run-*/run-*.wandb"))


def read_run_file(path: Path) -> RunFile:
    """Read a whole run file.

    Raises:
        ValueError: If it is no run file, or a checksum is wrong.
    """
    held = RunFile()
    for data in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            named = {"id": run.run_id, "group": run.run_group, "name": run.display_name}
            held.run = {**named, "project": run.project, "job_type": run.job_type}
            held.config.update(_items(run.config.update))
        elif kind == "config":
            held.config.update(_items(record.config.update))
        elif kind == "history":
            held.rows.append(_items(record.history.item))
        elif kind == "metric":
            metric = record.metric
            held.metrics[metric.glob_name or metric.name] = metric.step_metric
        elif kind == "artifact":
            held.artifacts.append(record.artifact.name)
        elif kind == "exit":
            held.exits.append(record.exit.exit_code)
    return held


def read_closed(path: Path, *, seconds: float = 20.0) -> RunFile:
    """Read a run file when it has been closed: W&B's own process writes it a moment later.

    Raises:
        TimeoutError: If it is still open after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        held = read_run_file(path)
        if held.exits:
            return held
        time.sleep(0.05)
    raise TimeoutError(f"{path} was not closed within {seconds} s")


def _items(items: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return key → value; entries of one medium come apart and are joined again."""
    found: dict[str, Any] = {}
    for item in items:
        *above, last = list(item.nested_key) or [item.key]
        node = found
        for part in above:
            node = node.setdefault(part, {})
        node[last] = json.loads(item.value_json)
    return found


def _records(data: bytes) -> Iterator[bytes]:
    if data[: len(MAGIC)] != MAGIC:
        raise ValueError("not a W&B run file")
    offset, parts = HEADER, b""
    while offset + FRAME.size <= len(data):
        left = BLOCK - offset % BLOCK
        if left < FRAME.size:  # too little for another record: zeros up to the end of the block
            offset += left
            continue
        checksum, length, kind = FRAME.unpack_from(data, offset)
        start = offset + FRAME.size
        part = data[start : start + length]
        if zlib.crc32(part, zlib.crc32(bytes([kind]))) != checksum:
            raise ValueError(f"wrong checksum at byte {offset}")
        parts = part if kind in {FULL, FIRST} else parts + part
        if kind in {FULL, LAST}:
            yield parts
        offset = start + length


def main() -> None:
    """Print the counts of each run file of the run folder that is named."""
    for path in find_run_files(Path(sys.argv[1])):
        held = read_run_file(path)
        scalars = held.scalars()
        counts = Counter(
            scalars=len(scalars),
            values=sum(len(values) for values in scalars.values()),
            images=sum(entry["count"] for entry in held.media("images/separated")),
            tables=len(held.media("table-file")),
            artifacts=len(held.artifacts),
            config=len(held.config),
        )
        print(path.name, dict(counts), "exit", held.exits)  # noqa: T201


if __name__ == "__main__":
    main()
