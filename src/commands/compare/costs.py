"""What a training step of each block costs, measured side by side on one machine."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from omegaconf import DictConfig
from rich.progress import track

from src.app.measure import quartiles, time_in_turn, weigh
from src.app.processes.user_errors import as_user_error
from src.commands.compare.training_step import training_step
from src.core.console import FoldingTable, make_console
from src.core.errors import DataError
from src.core.files import write_json
from src.core.origin import hardware, origin

COSTS = "costs.json"
"""The file of a comparison that keeps them."""
TURNS = 7
BUSY_PERCENT = 20
"""From how much other work on, in percent of all cores, times are said to be doubtful."""

Kind = tuple[tuple[str, str], ...]
"""Factor and level of all but the seed, which costs nothing."""


@dataclass(frozen=True)
class StepCost:
    """What a training step takes: forward, loss, backward and optimizer, of a batch that is there.

    Attributes:
        lower: Quartile of the times in seconds.
        median: Of the times in seconds.
        upper: Quartile of the times in seconds.
        peak_bytes: Memory at the peak, beside weights; None where that cannot be seen.
    """

    lower: float
    median: float
    upper: float
    peak_bytes: float | None


UNKNOWN = StepCost(math.nan, math.nan, math.nan, None)
"""Of a step that was not measured."""


@dataclass(frozen=True)
class Costs:
    """Steps that took turns on one machine, by what was trained."""

    machine: str  # in words
    busy_percent: float  # of its cores, with other work, before they began
    steps: Mapping[Kind, StepCost]


def kind_of(levels: Mapping[str, str]) -> Kind:
    """Return by what the cost of a cell is known."""
    return tuple((name, level) for name, level in levels.items() if name != "seed")


def step_of(levels: Mapping[str, str], costs: Costs) -> StepCost:
    """Return what a step of a cell takes; NaN where that was not measured."""
    return costs.steps.get(kind_of(levels), UNKNOWN)


def measure_costs(
    folder: Path, kinds: Mapping[Kind, DictConfig], known: Mapping[Kind, str]
) -> None:
    """Let a step of each kind of cell take turns with the others, and write what each took.

    Images are random; degrading them, which all blocks share, is not measured.

    Args:
        folder: Of the comparison; nothing is written before all is measured.
        kinds: Kind → configuration of a training.
        known: Kind → identity of a cell of that kind: that of another configuration has no cost.

    Raises:
        ExemplarError: If one of them cannot be built, or there is no such device.
    """
    console = make_console(stderr=True)
    busy = psutil.cpu_percent(interval=1.0)
    if busy > BUSY_PERCENT:
        console.print(
            f"Other work keeps {busy:.0f} % of this machine's cores busy: times will be too long, "
            "and not by the same factor. Measure again when it is idle."
        )
    device, calls = torch.device("cpu"), {}
    for kind, cfg in kinds.items():
        try:
            device, calls[kind] = training_step(cfg)
        except Exception as error:
            reason = as_user_error(error)
            if reason is None:
                raise
            raise type(reason)(f"{_name(kind)}: {reason}") from error
    peaks = {}  # before any is timed: what has been freed may be used again, and would not count
    for kind, call in track(calls.items(), "Memory", len(calls), console=console):
        peaks[kind] = weigh({"": call}, device)[""].peak_bytes
    times: dict[Kind, list[float]] = {kind: [] for kind in calls}
    for turn in track(range(TURNS), "Time  ", console=console):
        for kind, call in calls.items():
            warmup = int(turn == 0)
            times[kind] += time_in_turn({"": call}, runs=1, warmup=warmup, device=device)[""]
    steps = {
        kind: StepCost(*quartiles(times[kind]), None if math.isnan(peak) else peak)
        for kind, peak in peaks.items()
    }
    about = {**origin(), "machine": _machine(device), "hardware": hardware()}
    about |= {"turns": TURNS, "busy_percent": busy}
    rows = [
        {"name": _name(kind), "sha256": known[kind], **asdict(step)} for kind, step in steps.items()
    ]
    write_json(folder / COSTS, {**about, "steps": rows})
    console.print(_table(steps, kinds))
    console.print(f"Written     {folder / COSTS}")


def _name(kind: Kind) -> str:
    return "-".join(level for _, level in kind)


def _machine(device: torch.device) -> str:
    """Return in words what was measured on."""
    torch_version = f"torch {torch.__version__.partition('+')[0]}"
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {torch_version}"
    threads = torch.get_num_threads()
    about = f"{hardware()['processor']}, {torch_version}, {threads} thread"
    return about if threads == 1 else f"{about}s"


def _table(steps: Mapping[Kind, StepCost], kinds: Mapping[Kind, DictConfig]) -> FoldingTable:
    heads = ["ms a step", "quartiles", "MiB a step", "steps", "minutes"]
    table = FoldingTable([factor for factor, _ in next(iter(kinds))], heads, title="Training steps")
    for kind, step in steps.items():
        count = int(kinds[kind].trainer.max_steps)
        table.add_row(
            *(level for _, level in kind),
            f"{1e3 * step.median:.0f}",
            f"{1e3 * step.lower:.0f}–{1e3 * step.upper:.0f}",
            "–" if step.peak_bytes is None else f"{step.peak_bytes / 2**20:.0f}",
            f"{count:,}",
            "–" if kinds[kind].data.get("progressive") else f"{count * step.median / 60:.1f}",
        )
    return table


def read_costs(folder: Path, cells: Sequence[Mapping[str, Any]]) -> Costs:
    """Return what was measured; no steps where nothing was.

    Args:
        folder: Of the comparison.
        cells: Rows of its list of cells, with ``levels`` and ``sha256``.

    Raises:
        DataError: If the file is damaged.
    """
    file = folder / COSTS
    if not file.is_file():
        return Costs("", 0, {})
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        measured = dict(map(_read, record["steps"]))
        steps = {
            kind_of(cell["levels"]): measured[cell["sha256"]]
            for cell in cells
            if cell.get("sha256") in measured
        }
        return Costs(str(record["machine"]), float(record["busy_percent"]), steps)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise DataError(
            f"{file} is damaged ({type(error).__name__}: {error}). Remove it, and measure again: "
            "cost=true."
        ) from error


def _read(row: Mapping[str, Any]) -> tuple[str, StepCost]:
    lower, median, upper = (float(row[name]) for name in ("lower", "median", "upper"))
    if not 0 < lower <= median <= upper < math.inf:
        raise ValueError(f"no times: {lower}, {median}, {upper}")
    peak = row["peak_bytes"]
    if peak is not None and not 0 <= float(peak) < math.inf:
        raise ValueError(f"no memory: {peak}")
    return row["sha256"], StepCost(lower, median, upper, None if peak is None else float(peak))
