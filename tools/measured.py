"""Writes what a measurement found: a table on the screen, CSV and JSON among the records."""

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import psutil
import torch

from src.core.origin import hardware, origin
from src.core.paths import ROOT


def write_record(name: str, rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> None:
    """Write ``rows`` to experiments/benchmarks/<device>_<torch>/<name>.csv, the rest to .json."""
    machine = hardware()
    device = (machine["gpus"] or [machine["processor"]])[0]
    words = "".join(c if c.isalnum() else " " for c in str(device).lower()).split()
    version = torch.__version__.partition("+")[0]
    folder = ROOT / "experiments/benchmarks" / f"{'-'.join(words)}_{version}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    about = {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        **origin(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "load_average": psutil.getloadavg()[0],
        "hardware": machine,
        "settings": dict(settings),
    }
    (folder / f"{name}.json").write_text(json.dumps(about, indent=2) + "\n")
    sys.stdout.write(table(rows))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a Markdown table."""
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([str(row[key]) for key in head] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
