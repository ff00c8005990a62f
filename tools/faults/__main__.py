"""Brings about every fault, or those named, and prints what came of each as a Markdown table.

``python -m tools.faults [--record FILE] [--seconds S] [name …]``: with a record, what it
holds already is not done again, so that the list can be gone through in parts; status 75 says that
some are left, 1 that an outcome is not what it should be.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from src.core.origin import commit, hardware
from tests.support.runs import Finished
from tools.faults.disks import DISKS
from tools.faults.files import FILES
from tools.faults.groups import GROUPS
from tools.faults.logging import LOGGING
from tools.faults.scene import Fault, Scene
from tools.faults.signals import SIGNALS
from tools.faults.training import TRAINING

UNFINISHED = 75

ALL: list[Fault] = [*SIGNALS, *DISKS, *FILES, *GROUPS, *LOGGING, *TRAINING]
"""In the order of the table."""


@dataclass(frozen=True)
class Outcome:
    """What came of a fault; ``wrong`` is "" where it is what it should be."""

    name: str
    done: str
    code: int
    message: str
    left: str
    seconds: float
    wrong: str = ""


def meet(fault: Fault) -> Outcome:
    """Bring a fault about in a folder of its own."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        scene = Scene(Path(name))
        code, message, left, wrong = -1, "", "", ""
        try:
            done = fault.act(scene)
            code, message = done.code, shown(done.err, name)
            wrong = fault_of(fault, done)
            left = fault.left(scene)
        except (AssertionError, OSError) as error:
            wrong = wrong or " ".join(str(error).split())[-600:]
    seconds = round(time.monotonic() - begun, 1)
    return Outcome(fault.name, fault.done, code, message, left, seconds, wrong)


def fault_of(fault: Fault, done: Finished) -> str:
    """Return in what an ending differs from what it should be; "" for nothing."""
    said = " ".join(f"{done.out} {done.err}".split())
    if "Traceback" in said:
        return f"a traceback: {said[-600:]}"
    if done.code != fault.code:
        return f"status {done.code}, not {fault.code}: {said[-600:]}"
    missing = [fragment for fragment in fault.says if fragment not in said]
    return f"not said: {missing}; but: {said[-600:]}" if missing else ""


TELLING = re.compile(r"\bkept\b|Going on|Stopped|resume=|offline|time that|W&B|trained")


def shown(err: str, folder: str) -> str:
    """Return the message in what was written to standard error, without the names of folders."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", err).replace(folder, "…")
    before, mark, message = text.rpartition("error: ")
    lines = [
        re.sub(r"^\[.*?\] - ", "", line.strip()) for line in (before if mark else text).splitlines()
    ]
    telling = [line for line in lines if TELLING.search(line)]
    return " ".join([*telling, *f"{mark}{message if mark else ''}".split()])


def table(outcomes: list[Outcome]) -> str:
    """Return the outcomes as Markdown."""
    lines = ["| fault | done by | exit | message | what is left |", "|---|---|---|---|---|"]
    for outcome in outcomes:
        cells = (outcome.name, outcome.done, str(outcome.code), outcome.message, outcome.left)
        row = " | ".join(cell.replace("|", "\\|") for cell in cells)
        lines.append(f"| {row} |" + (f" **{outcome.wrong}**" if outcome.wrong else ""))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the options, go through the list, print and record."""
    parser = argparse.ArgumentParser(prog="python -m tools.faults")
    parser.add_argument("names", nargs="*", help="parts of names; all without one")
    parser.add_argument("--record", type=Path, help="file without suffix, for .md and .json")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    given = parser.parse_args()
    chosen = [f for f in ALL if not given.names or any(part in f.name for part in given.names)]
    held = _held(given.record)
    end = time.monotonic() + given.seconds
    for fault in chosen:
        if fault.name in held and not held[fault.name].wrong and not given.names:
            continue
        if time.monotonic() > end:
            sys.exit(UNFINISHED)
        outcome = meet(fault)
        sys.stdout.write(table([outcome]).splitlines()[-1] + "\n")
        sys.stdout.flush()
        held[fault.name] = outcome
        if given.record is not None:
            _write(given.record, held)
    sys.exit(int(any(held[fault.name].wrong for fault in chosen)))


def _held(record: Path | None) -> dict[str, Outcome]:
    path = None if record is None else record.with_suffix(".json")
    if path is None or not path.is_file():
        return {}
    return {entry["name"]: Outcome(**entry) for entry in json.loads(path.read_text())["faults"]}


def _write(record: Path, held: Mapping[str, Outcome]) -> None:
    outcomes = [held[fault.name] for fault in ALL if fault.name in held]
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "hardware": hardware(),
        "faults": [asdict(outcome) for outcome in outcomes],
    }
    record.parent.mkdir(parents=True, exist_ok=True)
    record.with_suffix(".json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    record.with_suffix(".md").write_text(table(outcomes))


if __name__ == "__main__":
    main()
