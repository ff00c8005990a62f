"""The tables of a comparison: what blocks gain on a set, and what they cost."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from src.app.results import METRIC_DIGITS, METRIC_NAMES
from src.commands.compare.gains import CONFIDENCE, Gain
from src.commands.compare.outcome import (
    Seeds,
    Standing,
    gain_at_equal_time,
    mean_score,
    on_one_machine,
    scored,
)
from src.metrics.direction import higher_is_better

_UNKNOWN = {"seconds_a_step": None, "training": {"peak_gpu_memory_mib": None}}
"""What is known of the cost of a block that was trained elsewhere."""


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
            if one.gains:
                metric, (gain, p, _) = next(iter(one.gains.items()))
                sure = "*" if p < 1 - CONFIDENCE and gain.seeds > 1 else ""
                text = f"{gain.mean:+.{_digits(metric) - 1}f}{sure} ({gain.seeds})"
                lines.setdefault(one.block, {})[of] = text
                scores.add(METRIC_NAMES.get(metric, metric))
    about = f"{' and '.join(sorted(scores))} gain over {reference}, in brackets of how many seeds"
    return Table(
        f"{about}; * where several have p below {1 - CONFIDENCE:.2g}",
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
        over = {"images" if of.seeds == 1 else "seeds, images" for of, *_ in one.gains.values()}
        seeds = {of.seeds for of, *_ in one.gains.values()} or {len(one.cells)}
        each = one.gains[first][0].by_seed if first in one.gains else ()
        by_seed = " ".join(f"{mean:+.{_digits(first)}f}" for mean in each)
        row = [one.block, *map(str, seeds), *(over or {"–"}), by_seed or "–"]
        for metric in metrics:
            row.append(f"{mean_score(one.cells, name, metric):.{_digits(metric)}f}")
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
    return Table(title(condition, where), heads, rows)
