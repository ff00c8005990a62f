"""What came of a comparison, from what its cells have left: tables, a page, a plot, a list."""

import base64
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from src.app.results import METRIC_DIGITS, METRIC_NAMES, read_results
from src.app.sweeps.cells import CELL, CELLS, read_comparison
from src.commands.compare.outcome import (
    Finished,
    Gain,
    Seeds,
    Standing,
    gain_at_equal_time,
    grouped,
    mean_score,
    on_one_machine,
    scored,
    standing,
)
from src.commands.compare.plot import write_plot
from src.core.console import make_console
from src.core.errors import DataError
from src.core.files import write_csv, write_text
from src.core.pages import templates

PLOT = "gain.svg"
HOW_TO_READ = """\
Gain: score minus that of the reference, image by image, averaged over seeds and images; in brackets
the 95 % bootstrap interval (seeds and images drawn anew independently; the percentile interval of a
few seeds is too narrow). p: two-sided, by the same resamples, corrected after Holm for all blocks
and scores of its table. Effect: mean over deviation of the images' gains. Visible: the true gain
that such a design would have shown in 4 of 5 repetitions at the strictest step of Holm."""
ONE_SEED = """\
ONE SEED: where "varied" says images alone, interval, p and visible gain are over images. They say
nothing of what another training of the same block would give."""
EQUAL_TIME = """\
At equal time: gain on the validation images at the moment when the reference has done all its
steps, read off the curve of the training (a block that is not done then has not lowered its
learning rate to the end). Time and memory are those of the one machine that is named, on which
most cells were trained, whatever else ran there."""
_UNKNOWN = {"seconds_a_step": None, "training": {"peak_gpu_memory_mib": None}}
"""What is known of the cost of a block that was trained elsewhere."""


@dataclass(frozen=True)
class Table:
    """Texts of one table."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def write_report(folder: Path) -> None:
    """Write ``table.md``, ``page.html``, ``gain.svg`` and ``cells.csv``, and say what is missing.

    Raises:
        DataError: If a finished cell has files of another form, or cells that are compared were
            scored on other images or by another protocol.
    """
    try:
        _write_report(folder)
    except (AttributeError, LookupError, TypeError, ValueError, StopIteration) as error:
        raise DataError(
            f"{folder / CELLS}: the files of a finished cell are of another form "
            f"({type(error).__name__}: {error}). Remove that cell's folder: it is trained again."
        ) from error


def _write_report(folder: Path) -> None:
    console = make_console(stderr=True)
    index = folder / CELLS / f"{CELLS}.json"
    if not index.is_file():
        return
    rows = json.loads(index.read_text(encoding="utf-8"))
    finished = []
    for row in rows:
        cell = folder / CELLS / row["folder"]
        if (cell / CELL).is_file():
            cost = json.loads((cell / CELL).read_text(encoding="utf-8"))
            finished.append(Finished(cell, row["levels"], row["words"], cost, read_results(cell)))
    comparison, known = read_comparison(folder), [row["levels"] for row in rows]
    levels = (levels for levels, _ in comparison.combinations() if levels not in known)
    new = ["-".join(names.values()) for names in levels]  # in the file since the last start
    console.print(f"Cells       {len(finished)} of {len(rows) + len(new)} are finished")
    if not finished:
        return
    done = {one.folder.name for one in finished}
    reference = " ".join(comparison.reference.values())
    groups = grouped(finished, list(comparison.reference))
    standings = {
        (condition, name): standing(blocks, reference, name, metrics)
        for condition, blocks in groups.items()
        for name, metrics in scored(next(iter(next(iter(blocks.values())).values()))).items()
    }
    content = {
        "title": comparison.title,
        "conclusion": " ".join(comparison.conclusion.split()),
        "about": _about(standings, reference),
        "finished": finished,
        "missing": [row["folder"] for row in rows if row["folder"] not in done] + new,
        "hours": sum(one.wall_seconds for one in finished) / 3600,
        "tables": [
            *(gain_table(*of, reference, rows) for of, rows in standings.items()),
            *(cost_table(condition, blocks, reference) for condition, blocks in groups.items()),
        ],
    }
    write_csv(folder / "cells.csv", list(_rows(finished)))
    picture = _draw(folder / PLOT, standings)
    filled = templates(Path(__file__).parent / "templates")
    for name in ("table.md", "page.html"):
        text = filled.get_template(f"{name}.j2").render(**content, picture=picture)
        write_text(folder / name, text.strip() + "\n")
        console.print(f"Written     {folder / name}")


def _title(condition: str, rest: str) -> str:
    return f"{condition}: {rest}" if condition else rest


def _text(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)


def _digits(metric: str) -> int:
    """Return how many decimals a mean over seeds has: one more than a score."""
    return METRIC_DIGITS.get(metric, 3) + 1


def gain_table(condition: str, name: str, reference: str, standings: Sequence[Standing]) -> Table:
    """Return the table of one set."""
    metrics = scored(next(iter(standings[0].cells.values())))[name]
    heads = ["block", "seeds", "varied"]
    for metric in metrics:
        score = METRIC_NAMES.get(metric, metric)
        heads += [score, f"{score} gain", "p", "effect", "visible"]
    rows = []
    for one in standings:
        over = {"images" if of.seeds == 1 else "seeds, images" for of, *_ in one.gains.values()}
        row = [one.block, str(len(one.cells)), *(over or {"–"})]
        for metric in metrics:
            row.append(f"{mean_score(one.cells, name, metric):.{_digits(metric)}f}")
            row += _gain_texts(one.gains.get(metric), _digits(metric))
        rows.append(row)
    images = next(iter(standings[0].cells.values())).record["benchmarks"][name]["images"]
    return Table(_title(condition, f"{name}, {images} images, reference {reference}"), heads, rows)


def _gain_texts(known: tuple[Gain, float, float] | None, digits: int) -> list[str]:
    if known is None:
        return ["–"] * 4
    one, p, least = known
    low, high = (_text(end, f"+.{digits}f") for end in (one.low, one.high))
    return [
        f"{one.mean:+.{digits}f} [{low}, {high}]",
        _text(p, ".2g"),
        _text(one.effect, "+.2f"),
        _text(least, f".{digits}f"),
    ]


def cost_table(condition: str, blocks: Mapping[str, Seeds], reference: str) -> Table:
    """Return what each block costs, and what it has gained when the reference is done."""
    first = next(iter(next(iter(blocks.values())).values()))
    sets = {name: metrics[0] for name, metrics in scored(first).items()}
    heads = ["block", "parameters", "GFLOP", "ms a step", "GPU MiB", "minutes"]
    heads += [f"{name} {METRIC_NAMES.get(m, m)} at equal time" for name, m in sets.items()]
    rows = []
    machine, timed = on_one_machine(blocks)
    beside = timed.get(reference, {})
    theirs = next((of.record["parameters"] for of in blocks.get(reference, {}).values()), math.nan)
    for block, every in blocks.items():
        one, cells = next(iter(every.values())), timed[block]
        costs = [of.cost for of in cells.values()] or [_UNKNOWN]
        step = statistics.median(cost["seconds_a_step"] or math.nan for cost in costs)
        memory = max(cost["training"]["peak_gpu_memory_mib"] or math.nan for cost in costs)
        minutes = [of.wall_seconds / 60 for of in cells.values()] or [math.nan]
        parameters = one.record["parameters"]
        row = [
            block,
            f"{parameters:,} ({_text(parameters / theirs - 1, '+.1%')})",
            f"{one.cost['flops'] / 1e9:.3g}",
            _text(1e3 * step, ".1f"),
            _text(memory, ",.0f"),
            _text(statistics.fmean(minutes), ".1f"),
        ]
        for name, metric in sets.items():
            value = gain_at_equal_time(cells, beside, name, metric)
            row.append(_text(value, f"+.{_digits(metric)}f"))
        rows.append(row)
    where = f"cost, trained on {machine}" if machine else "cost"
    return Table(_title(condition, where), heads, rows)


def _about(standings: Mapping[tuple[str, str], Sequence[Standing]], reference: str) -> list[str]:
    about = [HOW_TO_READ, EQUAL_TIME]
    every = [row for rows in standings.values() for row in rows]
    if any(one.seeds == 1 for row in every for one, *_ in row.gains.values()):
        about.insert(0, ONE_SEED)
    for (condition, _), rows in standings.items():
        if reference not in {row.block for row in rows}:
            about.insert(
                0, _title(condition, f"{reference} is not finished, so nothing is compared.")
            )
    return [" ".join(text.split()) for text in dict.fromkeys(about)]


def _draw(path: Path, standings: Mapping[tuple[str, str], Sequence[Standing]]) -> str | None:
    """Write the plot; return it as an address, or None without gains or without matplotlib."""
    panels = {
        _title(condition, name): [
            (row.block, next(iter(row.cells.values())).cost["flops"] / 1e9, first[0])
            for row in rows
            for first in [next(iter(row.gains.values()))]
        ]
        for (condition, name), given in standings.items()
        if (rows := [row for row in given if row.gains])
    }
    if not panels or find_spec("matplotlib") is None:
        return None
    metric = next(iter(next(row for rows in standings.values() for row in rows if row.gains).gains))
    write_plot(path, panels, METRIC_NAMES.get(metric, metric))
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()


def _rows(finished: Sequence[Finished]) -> Iterator[list[object]]:
    scores = [(name, metric) for name, of in scored(finished[0]).items() for metric in of]
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
            *(one.score(*score) for score in scores),
            one.record["parameters"],
            cost["flops"],
            cost["seconds_a_step"],
            cost["training"]["peak_gpu_memory_mib"],
            cost["training"]["wall_seconds"],
            one.command,
        ]
