"""The rows that a paper publishes, from experiments/<paper>/table.yaml, and ours beside them."""

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from src.app.config.options import options_of
from src.app.results import RESULTS
from src.commands.report.records import LEVELS, Record, open_records
from src.core.errors import DataError, did_you_mean
from src.core.paths import CONF_DIR
from src.data.prepared import known_pixels
from src.inference.policy import InferencePolicy
from src.metrics.protocol import Protocol
from src.weights.untrusted import read_text

TABLE = "table.yaml"
RECORDS = "results"

Steps = dict[str, dict[str, Any]]
"""Of protocol, degradation and inference: key → value."""

StepsOf = Callable[[tuple[tuple[str, float], ...]], Steps]
"""Of a row's condition; one table has hundreds of rows and few conditions."""


@dataclass(frozen=True)
class PublishedRow:
    """One method on one image set under one condition, as printed."""

    method: str  # as the paper calls it
    dataset: str  # name of the prepared image set
    condition: Mapping[str, float]  # e.g. {"sigma": 50}; empty for demosaicing
    published: Mapping[str, float]  # metric → printed value
    record: str | None  # folder of ours below results/; None where nothing here can make it
    recipe: str | None  # what trains the model of ours; None where nothing is to be trained
    command: str | None  # words of src.evaluate that make ours without a training
    ours: Mapping[str, float]  # metric, in the paper's word → our mean; empty where not run

    @property
    def condition_in_words(self) -> str:
        """E.g. "σ 50", "quality 10" or "×2"."""
        words = [f"{LEVELS[key]} {value:g}" for key, value in self.condition.items()]
        return ", ".join(words).replace("× ", "×")


@dataclass(frozen=True)
class PublishedTable:
    """One table of a paper."""

    name: str  # unique in its paper
    title: str
    source: str  # paper and number of the table
    protocol: str  # name of the protocol that ours must be scored under
    inference: Mapping[str, Any]  # how the paper's own networks must restore whole images
    metrics: tuple[str, ...]  # in the order in which they are printed
    notes: tuple[str, ...]
    rows: tuple[PublishedRow, ...]  # in the paper's order


@dataclass(frozen=True)
class Paper:
    """All tables of one paper, and the folder that they lie in."""

    folder: Path
    title: str
    arxiv: str
    tables: tuple[PublishedTable, ...]


def read_papers(experiments: Path, names: list[str] | None) -> list[Paper]:
    """Return the papers below ``experiments``, or those called ``names``.

    Raises:
        DataError: If one is not there, or a record does not belong to its row.
    """
    known = {file.parent.name: file for file in sorted(experiments.glob(f"*/{TABLE}"))}
    for name in names or []:
        if name not in known:
            raise DataError(
                f"{experiments}/{name}/{TABLE} is not there. {did_you_mean(name, known)}"
            )
    if not known:
        raise DataError(f"No folder of {experiments} holds a {TABLE}.")
    return [_read_paper(file) for name, file in known.items() if names is None or name in names]


def _read_paper(file: Path) -> Paper:
    try:
        content = yaml.safe_load(read_text(file))
        tables = tuple(_read_table(file.parent, table) for table in content["tables"])
        return Paper(file.parent, content["paper"], content["arxiv"], tables)
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise DataError(
            f"{file}: no table of a paper ({type(error).__name__}: {error})."
        ) from error


def _read_table(folder: Path, content: Mapping[str, Any]) -> PublishedTable:
    inference = content.get("inference", {})

    @cache
    def steps(condition: tuple[tuple[str, float], ...]) -> Steps:
        return frozen(content["protocol"], content.get("degradation"), dict(condition))

    rows = tuple(_read_row(folder, row, content, steps) for row in content["rows"])
    texts = (content["name"], content["title"], content["source"], content["protocol"])
    metrics, notes = tuple(content["metrics"]), tuple(content["notes"])
    return PublishedTable(*texts, inference, metrics, notes, rows)


def _read_row(
    folder: Path, row: Mapping[str, Any], table: Mapping[str, Any], steps: StepsOf
) -> PublishedRow:
    recipe, metrics = row.get("recipe"), table["metrics"]
    record = recipe.rpartition("/")[2] if recipe else row.get("record")
    condition = row.get("condition", {})
    source = folder / RECORDS / record if record else None
    policy = {"ensemble": False, **(table.get("inference", {}) if recipe else {})}
    needed = {**steps(tuple(condition.items())), "inference": policy}
    means = {} if source is None else _ours(source, row["dataset"], condition, needed)
    names = {metric: row.get("measured_as", {}).get(metric, metric) for metric in metrics}
    ours = {metric: means[name] for metric, name in names.items() if name in means}
    published = {metric: float(row[metric]) for metric in metrics if metric in row}
    texts = (record, recipe, row.get("command"))
    return PublishedRow(row["method"], row["dataset"], condition, published, *texts, ours)


def _ours(
    source: Path, dataset: str, condition: Mapping[str, float], needed: Steps
) -> dict[str, float]:
    """Return our means on ``dataset`` from the records below ``source``; {} if it was not run."""
    if not any(source.rglob(RESULTS)):
        return {}
    for record in open_records(str(source)):
        if dataset in record.benchmarks:
            _refuse_foreign(record, dataset, condition, needed)
            return _means(record.benchmarks[dataset]["restored"])
    return {}


def _means(restored: Mapping[str, Mapping[str, float | None]]) -> dict[str, float]:
    """Return the mean of each metric over the images; none where an image's is not finite."""
    scores = {
        metric: [score for row in restored.values() if (score := row[metric]) is not None]
        for metric in next(iter(restored.values()))
    }
    return {m: statistics.fmean(each) for m, each in scores.items() if len(each) == len(restored)}


def _option(group: str, name: str) -> Any:  # noqa: ANN401
    """Return a file of conf/ that a table names; a table comes from anywhere."""
    known = options_of(group)
    if name not in known:
        raise DataError(f"there is no {group} {name!r}. {did_you_mean(str(name), known)}")
    return OmegaConf.load(CONF_DIR / group / f"{name}.yaml")


def frozen(protocol: str, degradation: str | None, condition: Mapping[str, float]) -> Steps:
    """Return all steps of a protocol and a degradation of conf/, under a row's condition.

    Of a degradation, what the condition says is left out, and what concerns training alone.
    """
    io = {"scale": int(condition.get("scale", 1))}
    files = {"protocol": _option("protocol", protocol)}
    if degradation is not None:
        files["degradation"] = _option("degradation", degradation)
    steps: Any = OmegaConf.to_container(OmegaConf.create({"io": io, **files}), resolve=True)
    del steps["io"], steps["protocol"]["_target_"]
    degraded = steps.get("degradation", {})
    degraded = {k: v for k, v in degraded.items() if k not in {*condition, "grid"}}
    return {"protocol": Protocol(**steps["protocol"]).as_dict(), "degradation": degraded}


def _refuse_foreign(
    record: Record, dataset: str, condition: Mapping[str, float], needed: Steps
) -> None:
    """Refuse a record whose numbers the row's cannot be compared with, naming every difference."""
    content = record.content
    usual = {  # of steps that records of before do not name
        "protocol": Protocol("").as_dict(),
        "degradation": {"border": "replicate", "noise": [0, 0]},
        "inference": InferencePolicy().as_dict(),
    }
    pairs = [
        (f"{part}.{key}", {**usual[part], **content[part]}.get(key), value)
        for part, steps in needed.items()
        for key, value in steps.items()
    ]
    given = content["degradation"]
    pairs += [
        (key, level if given.get(key) == [level, level] else given.get(key), level)
        for key, level in condition.items()
    ]
    if dataset in known_pixels():
        images = record.images(dataset) or {"known_as": "not recorded"}
        pairs.append(("set", images["known_as"], dataset))
    wrong = [f"{key}={has}; its row needs {needs}" for key, has, needs in pairs if has != needs]
    if wrong:
        raise DataError(f"{record.folder}: not a record of its row: " + ", ".join(wrong) + ".")


def missing(paper: Paper) -> Iterator[tuple[str, str]]:
    """Yield, for each record that could be made here and has not been, its name and commands."""
    open_rows = [(t, row) for t in paper.tables for row in t.rows if row.record and not row.ours]
    rows = [row for _, row in open_rows]
    for name in dict.fromkeys(row.record for row in rows):
        sets = ",".join(row.dataset for row in rows if row.record == name)
        table, first = next(both for both in open_rows if both[1].record == name)
        ways = (f"inference.{key}={way}" for key, way in table.inference.items())
        what = " ".join(["checkpoint=<its run>", *ways]) if first.recipe else first.command
        output = f"experiments/{paper.folder.name}/{RECORDS}/{name}"
        evaluate = f"python -m src.evaluate {what} sets=[{sets}] images=false output={output}"
        train = f"python -m src.train experiment={first.recipe}; " if first.recipe else ""
        yield str(name), train + evaluate
