"""The tables of a comparison: what blocks gain on a set, and what they cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from src.app.results import METRIC_DIGITS, METRIC_NAMES
from src.commands.compare.costs import Costs, step_of
from src.commands.compare.gains import CONFIDENCE, Gain
from src.commands.compare.outcome import (
    Seeds,
    Standing,
    gain_at,
    mean_score,
    scored,
)
from src.metrics.direction import higher_is_better


@dataclass(frozen=True)
class Table:
    """Texts of one table."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def title(condition: str, rest: str) -> str:
    """Return what a table or a sentence is about, with the condition before it if there is one."""
    return f"{condition}: {rest}" if condition else rest


def _text(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)


def _digits(metric: str) -> int:
    """Return how many decimals a mean over seeds has: one more than a score."""
    return METRIC_DIGITS.get(metric, 3) + 1


def overview(standings: Mapping[tuple[str, str], Sequence[Standing]], reference: str) -> Table:
    """Return the gains in the first score on every set, a line a block, in the order of the first.

    ``standings`` has the blocks of each set, by what else is varied and the set's name.
    """
    lines: dict[str, dict[tuple[str, str], str]] = {}
    scores = set()
    for of, rows in standings.items():
        for one in rows:
            if one.gained:
                gain, p, _ = one.gained
                sure = "*" if p < 1 - CONFIDENCE and gain.seeds > 1 else ""
                text = f"{gain.mean:+.{_digits(one.first) - 1}f}{sure} ({gain.seeds})"
                lines.setdefault(one.block, {})[of] = text
                scores.add(METRIC_NAMES.get(one.first, one.first))
    about = f"{' and '.join(sorted(scores))} gain over {reference}"
    return Table(
        f"{about} (in brackets: seeds; *: several seeds, and p below {1 - CONFIDENCE:.2g})",
        ["block", *(title(*of) for of in standings)],
        [[block, *(known.get(of, "–") for of in standings)] for block, known in lines.items()],
    )


def gain_table(condition: str, name: str, reference: str, standings: Sequence[Standing]) -> Table:
    """Return the table of one set."""
    metrics = scored(next(iter(standings[0].cells.values())))[name]
    first = metrics[0]
    heads = ["block", "seeds", "varied", f"{METRIC_NAMES.get(first, first)} gain by seed"]
    for metric in metrics:
        score = METRIC_NAMES.get(metric, metric)
        score += " (less is better)" if higher_is_better(metric) is False else ""
        heads += [score, f"{score} gain", "p", "effect", "visible"]
    rows = []
    for one in standings:
        shown = next(iter(one.gains.values()), None)  # other metrics may lack seeds that this has
        over = "–" if shown is None else "images" if shown[0].seeds == 1 else "seeds, images"
        seeds = len(one.cells) if shown is None else shown[0].seeds
        each = one.gained[0].by_seed if one.gained else ()
        by_seed = " ".join(f"{mean:+.{_digits(first)}f}" for mean in each)
        row = [one.block, str(seeds), over, by_seed or "–"]
        for metric in metrics:
            row.append(_text(mean_score(one.cells, name, metric), f".{_digits(metric)}f"))
            row += _gain_texts(one.gains.get(metric), _digits(metric))
        rows.append(row)
    images = next(iter(standings[0].cells.values())).record["benchmarks"][name]["images"]
    return Table(title(condition, f"{name}, {images} images, reference {reference}"), heads, rows)


def _gain_texts(known: tuple[Gain, float, float] | None, decimals: int) -> list[str]:
    if known is None:
        return ["–"] * 4
    one, p, least = known
    low, high = (_text(end, f"+.{decimals}f") for end in (one.low, one.high))
    return [
        f"{one.mean:+.{decimals}f} [{low}, {high}]",
        _text(p, ".2g"),
        _text(one.effect, "+.2f"),
        _text(least, f".{decimals}f"),
    ]


def cost_table(condition: str, blocks: Mapping[str, Seeds], reference: str, costs: Costs) -> Table:
    """Return what each block costs, and what it has gained when the reference is done."""
    first = next(iter(next(iter(blocks.values())).values()))
    sets = {name: metrics[0] for name, metrics in scored(first).items()}
    beside = blocks.get(reference, {})
    theirs = next((one.record["parameters"] for one in beside.values()), 0) or math.nan
    last = next((one.cost["steps"] for one in beside.values()), math.nan)
    pace = next((step_of(one.levels, costs).median for one in beside.values()), math.nan)
    heads = ["block", "parameters", "GFLOP", "ms a step", "MiB a step", "steps at equal time"]
    heads += [f"{name} {METRIC_NAMES.get(m, m)} at equal time" for name, m in sets.items()]
    rows = []
    for block, cells in blocks.items():
        one = next(iter(cells.values()))
        step, parameters = step_of(one.levels, costs), one.record["parameters"]
        done = float(np.minimum(one.cost["steps"], last * pace / step.median))
        row = [
            block,
            f"{parameters:,} ({_text(parameters / theirs - 1, '+.1%')})",
            f"{one.cost['flops'] / 1e9:.3g}",
            f"{1e3 * step.median:.0f} [{1e3 * step.lower:.0f}, {1e3 * step.upper:.0f}]"
            if step.median > 0
            else "–",
            _text((step.peak_bytes or math.nan) / 2**20, ",.0f"),
            _text(done, ".0f"),
        ]
        for name, metric in sets.items():
            value = gain_at(done, cells, beside, name, metric)
            row.append(_text(value, f"+.{_digits(metric)}f"))
        rows.append(row)
    steps = [step_of(one.levels, costs) for cells in blocks.values() for one in cells.values()]
    where = f"cost on {costs.machine}" if any(step.median > 0 for step in steps) else "cost"
    return Table(title(condition, where), heads, rows)
