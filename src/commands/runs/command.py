"""Runs: one line each of all that was trained below a folder, the latest at the end."""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from src.core.console import FoldingTable, make_console
from src.core.errors import ConfigError, UntrustedError
from src.core.locks import is_taken
from src.core.paths import from_root, with_home
from src.metrics.direction import monitor_mode
from src.weights.untrusted import check_saved, read_text

_FOLDER = "outputs"
_LONGEST = 100_000  # signs of a line; csv refuses a field of some more


def runs(words: Sequence[str]) -> int:
    """Print a table of the runs below the folder in ``words``; return the exit status."""
    if len(words) > 1 or {"-h", "--help"} & set(words):
        make_console().print(f"python -m src.runs [folder]   the runs below it; of none: {_FOLDER}")
        return 0 if {"-h", "--help"} & set(words) else 2
    root = with_home(words[0]).absolute() if words else from_root(_FOLDER)
    configs = sorted(root.rglob("config.yaml"), key=lambda file: file.stat().st_mtime)
    table = FoldingTable(["run"], ["step", "of", "best"], ["score", "task", "model", "state"])
    rows = [row for row in map(_row, (file.parent for file in configs)) if row is not None]
    for folder, *cells in rows:
        table.add_row(str(Path(folder).relative_to(root)), *cells)
    if not rows:
        make_console(stderr=True).print(f"error: there is no run below {root}.")
        return 1
    make_console().print(table)
    return 0


def _row(folder: Path) -> tuple[str, ...] | None:
    """Return the cells of one run; None for a folder that holds none."""
    try:
        config = yaml.safe_load(read_text(folder / "config.yaml"))
        task = re.sub(r"(?<!^)(?=[A-Z])", "_", config["task"]["_target_"].split(".")[-1]).lower()
        model = config["model"]["_target_"].split(".")[-2]
        monitor, steps = str(config["monitor"]), int(config["trainer"]["max_steps"])
    except (OSError, ValueError, TypeError, LookupError, yaml.YAMLError, UntrustedError):
        return None
    step, best = _progress(folder / "metrics.csv", monitor, config)
    state = "done" if step >= steps else "stopped"
    if _written(folder / "crash.log") > _written(folder / "metrics.csv"):
        state = "failed"
    if is_taken(folder):
        state = "running"
    number = "" if math.isnan(best) else f"{best:.4f}"
    return str(folder), f"{step:,}", f"{steps:,}", number, monitor, task, model, state


def _written(file: Path) -> float:
    """Return when a file was last written; 0 where it is not there."""
    return file.stat().st_mtime if file.is_file() else 0.0


def _progress(file: Path, monitor: str, config: Mapping[str, Any]) -> tuple[int, float]:
    """Return the last step that was written, and the best score; NaN for none."""
    step, scores = 0, []
    if file.is_file():
        with file.open(newline="", encoding="utf-8", errors="replace") as lines:
            for row in csv.DictReader(line[:_LONGEST] for line in lines):
                with suppress(ValueError, TypeError, KeyError):  # a damaged row, none validated
                    step = max(step, int(row["step"]) + 1)
                    scores.append(float(row[monitor]))
    with suppress(ConfigError, UntrustedError):  # what is not listed is not imported for its mode
        known = check_saved(file, {"metrics": config.get("metrics", {})})
        mode = monitor_mode({**config, **known})
        return step, (min if mode == "min" else max)(scores, default=math.nan)
    return step, scores[-1] if scores else math.nan
