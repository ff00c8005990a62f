"""A paper's table as a grid, methods down, image sets across, and what fills templates with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.app.results import METRIC_DIGITS
from src.commands.report.published import Paper, PublishedRow, PublishedTable, missing
from src.core.pages import templates
from src.metrics.direction import higher_is_better

SET_NAMES = {
    "bsd68": "BSD68",
    "bsd100": "BSD100",
    "cbsd68": "CBSD68",
    "classic5": "Classic5",
    "kodak24": "Kodak24",
    "live1": "LIVE1",
    "manga109": "Manga109",
    "mcmaster18": "McMaster18",
    "set5": "Set5",
    "set12": "Set12",
    "set14": "Set14",
    "urban100": "Urban100",
}
NOT_RUN = "not run"
_TEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "σ": r"$\sigma$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
}
PUBLISHED, OURS, DIFFERENCE = "published", "ours", "difference"


@dataclass(frozen=True)
class Cell:
    """One number as printed, and its mark: 1 for the best of its column, 2 for the second."""

    text: str
    mark: int = 0


@dataclass(frozen=True)
class Line:
    """One row of a printed table."""

    condition: str  # e.g. "σ 50"
    method: str  # as the paper calls it
    kind: str  # published, ours or difference
    cells: tuple[tuple[Cell, ...], ...]  # of each image set, one a metric; () if none is published


def datasets_of(table: PublishedTable) -> list[str]:
    """Return the image sets of a table in the order in which it names them."""
    return list(dict.fromkeys(row.dataset for row in table.rows))


def lines_of(table: PublishedTable) -> list[Line]:
    """Return the printed rows of ``table``, condition after condition.

    A method that can be run here has a line more for ours, and one for ours − published.
    Best and second best are found among published values and ours together.
    """
    lines = []
    for condition in dict.fromkeys(row.condition_in_words for row in table.rows):
        rows = [row for row in table.rows if row.condition_in_words == condition]
        ranks = _ranks(rows, table.metrics)
        for method in dict.fromkeys(row.method for row in rows):
            by_set = {row.dataset: row for row in rows if row.method == method}
            kinds = [PUBLISHED]
            if any(row.record for row in by_set.values()):
                kinds.append(OURS)
            if any(row.ours for row in by_set.values()):
                kinds.append(DIFFERENCE)
            for kind in kinds:
                cells = tuple(
                    _cells(by_set.get(name), kind, table.metrics, ranks)
                    for name in datasets_of(table)
                )
                lines.append(Line(condition, method, kind, cells))
    return lines


Ranks = Mapping[tuple[str, str], Sequence[float]]


def _ranks(rows: Sequence[PublishedRow], metrics: Sequence[str]) -> Ranks:
    """Return (image set, metric) → the two best printed values, best first."""
    ranks = {}
    for dataset in dict.fromkeys(row.dataset for row in rows):
        for metric in metrics:
            values = {
                round(scores[metric], METRIC_DIGITS.get(metric, 4))
                for row in rows
                if row.dataset == dataset
                for scores in (row.published, row.ours)
                if metric in scores
            }
            more = higher_is_better(metric) is not False
            ranks[dataset, metric] = sorted(values, reverse=more)[:2]
    return ranks


def _cells(
    row: PublishedRow | None, kind: str, metrics: Sequence[str], ranks: Ranks
) -> tuple[Cell, ...]:
    if row is None:
        return ()
    if kind == PUBLISHED:
        return tuple(_marked(row, row.published, metric, ranks) for metric in metrics)
    if row.record is None:
        return ()
    if not row.ours:
        return (Cell(NOT_RUN),) if kind == OURS else ()
    if kind == OURS:
        return tuple(_marked(row, row.ours, metric, ranks) for metric in metrics)
    return tuple(
        Cell(_difference(_printed(row.ours, metric) - row.published[metric], metric))
        if metric in row.published and metric in row.ours
        else Cell("–")
        for metric in metrics
    )


def _marked(row: PublishedRow, scores: Mapping[str, float], metric: str, ranks: Ranks) -> Cell:
    if metric not in scores:
        return Cell("–")
    value, best = _printed(scores, metric), ranks[row.dataset, metric]
    mark = best.index(value) + 1 if value in best else 0
    return Cell(f"{value:.{METRIC_DIGITS.get(metric, 4)}f}", mark)


def _difference(value: float, metric: str) -> str:
    return f"{value:+.{METRIC_DIGITS.get(metric, 4)}f}".replace("-", "−")


def _printed(scores: Mapping[str, float], metric: str) -> float:
    """Return a score as precise as it is printed: what a reader would subtract."""
    return round(scores[metric], METRIC_DIGITS.get(metric, 4))


def render_tables(paper: Paper, kind: str) -> str:
    """Return the tables of ``paper`` as Markdown (``md``), LaTeX (``tex``) or ``html``."""
    return render(
        f"table.{kind}",
        paper=paper,
        names=SET_NAMES,
        missing=list(missing(paper)),
        tables=[(table, datasets_of(table), lines_of(table)) for table in paper.tables],
    )


def render(template: str, **values: Any) -> str:  # noqa: ANN401
    """Return ``templates/<template>.j2`` filled with ``values``, with one newline at the end."""
    environment = templates(Path(__file__).parent / "templates")
    environment.filters["tex"] = tex
    return environment.get_template(f"{template}.j2").render(**values).strip() + "\n"


def tex(text: str) -> str:
    """Return ``text`` with LaTeX's own signs escaped."""
    return "".join(_TEX.get(sign, sign) for sign in text)
