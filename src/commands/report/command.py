"""Report: tables of papers, a page of pictures, or a comparison of two results."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from src.app.build import plain
from src.app.results import METRIC_DIGITS, METRIC_NAMES, finite
from src.commands.report.alike import other_differences, pooled
from src.commands.report.comparison import CONFIDENCE, Comparison, compare
from src.commands.report.page import write_page
from src.commands.report.published import read_papers
from src.commands.report.records import Record, open_records
from src.commands.report.tables import render_tables
from src.core.console import FoldingTable, make_console
from src.core.errors import ConfigError, did_you_mean
from src.core.files import write_json, written
from src.core.paths import from_root

FORMATS = ("md", "tex", "html")
PAGE = "outputs/report.html"
ADVICE = "Set output=<file>."


def report(cfg: DictConfig) -> None:
    """Write what ``cfg`` asks for: a comparison, a page, or the tables of the papers.

    Raises:
        ConfigError: If the wishes contradict each other.
        DataError: If a record is missing, damaged, or not comparable.
    """
    console = make_console()
    given = plain(cfg)
    if cfg.compare is not None and cfg.results is not None:
        raise ConfigError("compare=… and results=… are two reports; ask for one at a time.")
    if cfg.compare is not None:
        _compare(given["compare"], given["better"], cfg.output, console)
    elif cfg.results is not None:
        records = open_records(given["results"], given["better"])
        page = from_root(cfg.output or PAGE)
        with written(page, ADVICE):
            write_page(page, records, cfg.title, cfg.images, cfg.crop)
        console.print(f"Written     {page} ({page.stat().st_size / 1e6:.1f} MB)")
    else:
        _tables(given["papers"], given["formats"], from_root(cfg.experiments), console)


def _tables(
    papers: str | list[str] | None, formats: Sequence[str], experiments: Path, console: Console
) -> None:
    for kind in formats:
        if kind not in FORMATS:
            raise ConfigError(f"formats names {kind!r}. {did_you_mean(kind, FORMATS)}")
    for paper in read_papers(experiments, [papers] if isinstance(papers, str) else papers):
        for kind in formats:
            file = paper.folder / f"table.{kind}"
            text = render_tables(paper, kind)
            with written(file, ADVICE):
                file.write_text(text, encoding="utf-8")
            console.print(f"Written     {file}")
        ours = [row for table in paper.tables for row in table.rows if row.record]
        run = sum(1 for row in ours if row.ours)
        console.print(f"            {run} of {len(ours)} rows that can be made here have a record")


def _compare(
    given: Sequence[str], better: dict[str, str] | None, output: str | None, console: Console
) -> None:
    if len(given) != 2:
        raise ConfigError(f"compare takes two results, [a,b]; {len(given)} came.")
    first, second = (_only(source, better) for source in given)
    if first.name == second.name:  # two records of one checkpoint
        first, second = (replace(one, name=one.folder.name) for one in (first, second))
    comparisons = compare(first, second)
    console.print(_table(comparisons, (first.name, second.name)))
    for item in comparisons:
        console.print(f"{item.benchmark} {item.metric}: {_verdict(item, first.name, second.name)}")
        for line in _spreads(item, (first, second)):
            console.print(line)
    for name in first.benchmarks:
        if reason := first.doubt(name):
            console.print(f"Images      {name}: {reason}", style="yellow")
    others = other_differences(first, second)
    console.print(_also_different(others, (first.name, second.name)))
    if output is not None:
        file = from_root(output)
        content = {
            "first": str(given[0]),
            "second": str(given[1]),
            "confidence": CONFIDENCE,
            "also_different": others,
            "comparisons": [{**asdict(item), "verdict": item.verdict} for item in comparisons],
        }
        with written(file, ADVICE):
            write_json(file, finite(content))
        console.print(f"Written     {file}")


def _only(source: str, better: dict[str, str] | None) -> Record:
    records = open_records(source, better)
    return records[0] if len(records) == 1 else pooled(records, Path(source).name)


def _table(comparisons: Sequence[Comparison], names: tuple[str, str]) -> FoldingTable:
    numbers = (*names, "difference", "95 % interval", "t-test p", "Wilcoxon p")
    table = FoldingTable(["images", "score"], numbers)
    for item in comparisons:
        digits = METRIC_DIGITS.get(item.metric, 4) + 1
        table.add_row(
            f"{item.benchmark} ({len(item.differences)})",
            METRIC_NAMES.get(item.metric, item.metric),
            *(f"{mean:.{digits}f}" for mean in item.means),
            f"{item.mean:+.{digits}f}",
            f"{item.low:+.{digits}f} … {item.high:+.{digits}f}",
            f"{item.t_test:.2g}",
            f"{item.wilcoxon:.2g}",
        )
    return table


def _spreads(item: Comparison, records: Sequence[Record]) -> Iterator[str]:
    """Yield of each record of several seeds how far these are apart."""
    for record, mean in zip(records, item.means, strict=True):
        spread = record.over_seeds.get(item.benchmark, {}).get(item.metric)
        if spread is not None:
            error = spread / math.sqrt(record.seeds)
            yield (
                f"  {record.name}: {mean:.4f} ± {error:.4f} (standard error; deviation "
                f"{spread:.4f})"
            )


def _also_different(
    others: Sequence[tuple[str, str, str]], names: tuple[str, str]
) -> FoldingTable | str:
    if not others:
        return "Nothing else that the records know of differs."
    table = FoldingTable(["also different"], texts=names)
    for row in others:
        table.add_row(*row)
    return table


def _verdict(item: Comparison, first: str, second: str) -> str:
    if item.verdict == "undecided":
        return "no difference that the images can show (the interval holds 0)"
    return f"{second if item.verdict == 'second' else first} is better"
