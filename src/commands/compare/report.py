"""What came of a comparison, from what its cells have left: tables, a page, a plot, a list."""

import base64
import csv
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from src.app.config.options import key_of
from src.app.results import METRIC_NAMES, read_results
from src.app.sweeps.cells import CELL, CELLS, is_place
from src.app.sweeps.comparison import Comparison, read_comparison
from src.commands.compare.costs import BUSY_PERCENT, Costs, read_costs, step_of
from src.commands.compare.outcome import Finished, Standing, grouped, scored, standing
from src.commands.compare.plot import write_plot
from src.commands.compare.tables import cost_table, gain_table, overview, title
from src.core.console import make_console
from src.core.errors import DataError, ExemplarError
from src.core.files import write_csv, write_text
from src.core.pages import templates

PLOT = "gain.svg"
TIMES, OPERATIONS = "ms a training step, {}", "GFLOP, forward, a training patch"
HOW_TO_READ = """\
Gain: score minus that of the reference, image by image, averaged over seeds and images; in brackets
the 95 % interval (seeds and images drawn anew independently, spread as Student's t, since how much
a few seeds vary is known badly; of fewer than 6 images there is none). p: two-sided, by the same
resamples, corrected after Holm for all blocks and scores of its table. Before that correction three
seeds have p below 0.05 in some 5 to 8 of 100 cases where nothing is gained, two in some 11. Effect:
mean over deviation of the images' gains. Visible: the true gain that about 4 of 5 repetitions would
have shown at the strictest step of Holm. Rows are in the order of gains. Scores are means over the
seeds that a block has, which may be others than those of the block above it: compare gains."""
ALONE = "Only the reference is finished, so nothing is compared."
ONE_SEED = """\
ONE SEED: where "varied" says images alone, interval, p and visible gain are over images. They say
nothing of what another training of the same block would give; the overview has no * there."""
OTHER_MACHINE = """\
the reference of that seed was trained on another machine, which may round differently."""
NOT_FINITE = """\
no finite score: the training diverged, or the image is restored without any error. Means leave such
seeds out; gains leave out such images in all seeds of that block, and seeds that have no other."""
EQUAL_TIME = """\
A step is forward, loss, backward and optimizer on a batch that is there; in brackets the quartiles
of steps that took turns with those of the other blocks. At equal time: how far a block is when the
reference has done all its steps, by these times, and its gain then on the validation images, read
off the curves of its trainings: none before the first validation, and a block that is not done then
has not lowered its learning rate to the end. GFLOP are those of a forward pass on one patch."""
BUSY = """\
Other work kept {:.0f} % of the machine's cores busy when steps were timed: times are doubtful."""
NO_TIMES = """\
What a step takes was not measured, or of other words than these cells have: add cost=true to the
command, with the folders that their trainings were given, on a machine that does nothing else."""


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
    index = folder / CELLS / f"{CELLS}.json"
    comparison = read_comparison(folder)
    rows = _planned(comparison, index)
    finished = []
    for row in rows:
        cell = folder / CELLS / row["folder"]
        if (cell / CELL).is_file():
            try:
                finished.append(_read(cell, row))
            except (
                ArithmeticError,
                OSError,
                ExemplarError,
                LookupError,
                RecursionError,
                TypeError,
                ValueError,
                csv.Error,
            ) as error:
                console.print(
                    f"Left out    {cell}: {error}. Remove that folder: the cell is trained again."
                )
    missing = _missing(comparison, rows, {one.folder.name for one in finished})
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
    about = [*_about(standings, reference), EQUAL_TIME if costs.steps else NO_TIMES]
    if costs.steps and costs.busy_percent > BUSY_PERCENT:
        about.append(BUSY.format(costs.busy_percent))
    content = {
        "title": comparison.title,
        "conclusion": " ".join(comparison.conclusion.split()),
        "about": [" ".join(text.split()) for text in dict.fromkeys(about)],
        "finished": finished,
        "missing": missing,
        "took": _duration(sum(one.wall_seconds for one in finished)),
        "overview": overview(standings, reference),
        "tables": [
            *(gain_table(*of, reference, rows) for of, rows in standings.items()),
            *(cost_table(*group, reference, costs) for group in groups.items()),
        ],
    }
    write_csv(folder / "cells.csv", list(_rows(finished)))
    picture = _draw(folder / PLOT, standings, costs)
    filled = templates(Path(__file__).parent / "templates")
    for name in ("table.md", "page.html"):
        text = filled.get_template(f"{name}.j2").render(**content, picture=picture)
        write_text(folder / name, text.strip() + "\n")
        console.print(f"Written     {folder / name}")


def _planned(comparison: Comparison, index: Path) -> list[Mapping[str, Any]]:
    """Return the cells of the last start that the file still has, with the words they had then."""
    try:
        rows = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else []
        known = {tuple(row["levels"].items()): row for row in rows}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{index} is damaged; start the comparison again: it is written anew."
        ) from error
    given = {key_of(word) for word in comparison.fixed}
    found = []
    for levels, own in comparison.combinations():
        row = known.get(tuple(levels.items()))
        words = row["words"] if row else []
        shared = words[: len(words) - len(own)]
        says = [word for word in shared if word in comparison.fixed or not is_place(word, given)]
        if row and words[len(shared) :] == own and {*says} == {*comparison.fixed}:
            found.append(row)
    return found


def _read(cell: Path, row: Mapping[str, Any]) -> Finished:
    """Return a finished cell; an error of some kind if a file is not what it should be."""
    cost = json.loads((cell / CELL).read_text(encoding="utf-8"))
    one = Finished(cell, row["levels"], row["words"], cost, read_results(cell))
    _ = one.curve, one.machine, one.wall_seconds, one.cost["steps"], scored(one)
    return one


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def _missing(
    comparison: Comparison, rows: Sequence[Mapping[str, Any]], done: Collection[str]
) -> list[str]:
    """Return the cells that are not finished, those after them that came since the last start."""
    known = [row["levels"] for row in rows]
    new = [levels for levels, _ in comparison.combinations() if levels not in known]
    begun = [row["folder"] for row in rows if row["folder"] not in done]
    return [*begun, *("-".join(levels.values()) for levels in new)]


def _about(standings: Mapping[tuple[str, str], Sequence[Standing]], reference: str) -> list[str]:
    about = [HOW_TO_READ]
    every = [row for rows in standings.values() for row in rows]
    if any(one.seeds == 1 for row in every for one, *_ in row.gains.values()):
        about.insert(0, ONE_SEED)
    for (condition, _), rows in standings.items():
        if reference not in {row.block for row in rows}:
            about.insert(
                0, title(condition, f"{reference} is not finished, so nothing is compared.")
            )
        elif strange := list(_of_two_machines(rows, reference)):
            about.insert(0, title(condition, f"{', '.join(strange)}: {OTHER_MACHINE}"))
        elif len(rows) == 1:
            about.insert(0, title(condition, ALONE))
    for (condition, name), rows in standings.items():
        if odd := sorted(cell for row in rows for cell in _without_score(row, name)):
            about.insert(0, title(condition, f"{name}: {', '.join(odd)}: {NOT_FINITE}"))
    return about


def _of_two_machines(rows: Sequence[Standing], reference: str) -> Iterator[str]:
    """Yield block and seed of each gain over a reference that was trained on another machine."""
    references = next(row.cells for row in rows if row.block == reference)
    for row in sorted(rows, key=lambda row: row.block):
        for seed in sorted(set(row.cells) & set(references)):
            if row.cells[seed].machine != references[seed].machine:
                yield f"{row.block} (seed {seed})"


def _without_score(row: Standing, name: str) -> Iterator[str]:
    """Yield block, seed and number of the images of a set that have no finite score."""
    for seed, cell in sorted(row.cells.items()):
        restored = cell.record["benchmarks"][name]["restored"].values()
        lacking = sum(None in scores.values() for scores in restored)
        if lacking:
            yield f"{row.block} (seed {seed}, {lacking} of {len(restored)} images)"


def _draw(
    path: Path, standings: Mapping[tuple[str, str], Sequence[Standing]], costs: Costs
) -> str | None:
    """Write the plot; return it as an address, or None without gains or without matplotlib.

    Gains stand over times where those of all blocks were measured, else over operations.
    """
    shown = {of: [row for row in rows if row.gains] for of, rows in standings.items()}
    every = [next(iter(row.cells.values())) for rows in shown.values() for row in rows]
    timed = not any(math.isnan(step_of(one.levels, costs).median) for one in every)
    unit = TIMES.format(costs.machine) if timed else OPERATIONS
    panels = {
        title(condition, name): [
            (
                row.block,
                1e3 * step_of(one.levels, costs).median if timed else one.cost["flops"] / 1e9,
                next(iter(row.gains.values()))[0],
            )
            for row in rows
            for one in [next(iter(row.cells.values()))]
        ]
        for (condition, name), rows in shown.items()
        if rows
    }
    if not panels or find_spec("matplotlib") is None:
        return None
    metric = next(iter(next(row for rows in standings.values() for row in rows if row.gains).gains))
    write_plot(path, panels, METRIC_NAMES.get(metric, metric), unit)
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()


def _rows(finished: Sequence[Finished]) -> Iterator[list[object]]:
    every = (scored(one).items() for one in finished)  # a factor may change what is scored
    scores = list(dict.fromkeys((name, m) for of in every for name, ms in of for m in ms))
    yield [
        "cell",
        *finished[0].levels,
        *(" ".join(score) for score in scores),
        "parameters",
        "flops",
        "seconds_a_step",
        "peak_gpu_memory_mib",
        "training_seconds",
        "command",
    ]
    for one in finished:
        cost = one.cost
        yield [
            one.folder.name,
            *one.levels.values(),
            *(one.score(*score) if score[0] in scored(one) else "" for score in scores),
            one.record["parameters"],
            cost["flops"],
            cost["seconds_a_step"],
            cost["training"]["peak_gpu_memory_mib"],
            cost["training"]["wall_seconds"],
            one.command,
        ]
