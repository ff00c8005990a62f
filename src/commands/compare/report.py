"""What came of a comparison, from what its cells have left: tables, a page, a plot, a list."""

import base64
import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from src.app.results import METRIC_NAMES
from src.app.sweeps.cell_files import CELLS
from src.app.sweeps.comparison import read_comparison
from src.commands.compare.about import how_to_read
from src.commands.compare.costs import Costs, read_costs, step_of
from src.commands.compare.outcome import Standing, grouped, scored, standing
from src.commands.compare.plot import write_plot
from src.commands.compare.records import (
    as_rows,
    finished_cells,
    missing_cells,
    planned_cells,
)
from src.commands.compare.tables import cost_table, gain_table, overview, title
from src.core.console import make_console
from src.core.errors import DataError
from src.core.files import write_csv, write_text
from src.core.pages import templates

PLOT = "gain.svg"
TIMES, OPERATIONS = "ms a training step", "GFLOP, forward, a training patch"


def write_report(folder: Path) -> None:
    """Write ``table.md``, ``page.html``, ``gain.svg`` and ``cells.csv``, and say what is missing.

    Raises:
        DataError: If a finished cell has files of another form, or cells that are compared were
            scored on other images or by another protocol.
    """
    try:
        _write_report(folder)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        StopIteration,
        TypeError,
        ValueError,
    ) as error:
        raise DataError(
            f"{folder / CELLS}: the finished cells cannot be compared "
            f"({type(error).__name__}: {error}). Were they scored by different metrics?"
        ) from error


def _write_report(folder: Path) -> None:
    console = make_console(stderr=True)
    comparison = read_comparison(folder)
    rows = planned_cells(comparison)
    finished, damaged = finished_cells(comparison, rows)
    for cell, reason in damaged.items():
        console.print(
            f"Left out    {cell}: {reason}. Remove that folder: the cell is trained again."
        )
    missing = missing_cells(comparison, rows, {one.folder.name for one in finished})
    total = len(finished) + len(missing)
    console.print(f"Cells       {len(finished)} of {total} are finished")
    if not finished:
        console.print("Nothing is written before the first is.")
        return
    reference = " ".join(comparison.reference.values())
    groups = grouped(finished, list(comparison.reference))
    standings = {
        (condition, name): standing(blocks, reference, name, metrics)
        for condition, blocks in groups.items()
        for name, metrics in scored(next(iter(next(iter(blocks.values())).values()))).items()
    }
    costs = read_costs(folder, rows)
    content = {
        "title": comparison.title,
        "conclusion": " ".join(comparison.conclusion.split()),
        "about": how_to_read(standings, reference, costs),
        "finished": finished,
        "missing": missing,
        "took": _duration(sum(one.wall_seconds for one in finished)),
        "overview": overview(standings, reference),
        "tables": [
            *(gain_table(*of, reference, rows) for of, rows in standings.items()),
            *(cost_table(*group, reference, costs) for group in groups.items()),
        ],
    }
    write_csv(folder / "cells.csv", list(as_rows(finished)))
    console.print(f"Written     {folder / 'cells.csv'}")
    picture = _draw(folder / PLOT, standings, costs)
    if picture is not None:
        console.print(f"Written     {folder / PLOT}")
    filled = templates(Path(__file__).parent / "templates")
    for name in ("table.md", "page.html"):
        text = filled.get_template(f"{name}.j2").render(**content, picture=picture)
        write_text(folder / name, text.strip() + "\n")
        console.print(f"Written     {folder / name}")


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def _draw(
    path: Path, standings: Mapping[tuple[str, str], Sequence[Standing]], costs: Costs
) -> str | None:
    """Write the plot; return it as an address; None without gains or without matplotlib.

    Gains stand over times where those of all blocks were measured, else over operations.
    """
    shown = {of: [row for row in rows if row.gained] for of, rows in standings.items()}
    every = [next(iter(row.cells.values())) for rows in shown.values() for row in rows]
    timed = not any(math.isnan(step_of(one.levels, costs).median) for one in every)
    unit = TIMES if timed else OPERATIONS
    panels = {
        title(condition, name): [
            (
                row.block,
                1e3 * step_of(one.levels, costs).median if timed else one.cost["flops"] / 1e9,
                row.gained[0],
            )
            for row in rows
            if row.gained
            for one in [next(iter(row.cells.values()))]
        ]
        for (condition, name), rows in shown.items()
        if rows
    }
    if not panels or find_spec("matplotlib") is None:
        return None
    scores = {METRIC_NAMES.get(row.first, row.first) for rows in shown.values() for row in rows}
    write_plot(path, panels, " and ".join(sorted(scores)), unit, costs.machine if timed else "")
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
