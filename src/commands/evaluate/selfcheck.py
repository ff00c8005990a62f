"""Self-check: recompute published rows that need no weights, and compare."""

import importlib.util
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from rich.progress import Progress

from src.app.build import build_data, build_task
from src.app.inference import trainer_device
from src.commands.evaluate.job import silent_trainer
from src.commands.evaluate.settings import settings
from src.commands.evaluate.watch import ImageBar
from src.core.console import FoldingTable, make_console
from src.core.errors import ConfigError, MismatchError
from src.core.files import write_json
from src.core.origin import origin
from src.core.paths import CONF_DIR, SHIPPED, from_root
from src.data.source import ImageFolder

ROWS_FILE = SHIPPED / "experiments/published/rows.yaml"
_DIGITS = {"psnr": 2}


@dataclass(frozen=True)
class PublishedRow:
    """One published row."""

    benchmark: str  # the image set, as ``python -m src.prepare`` knows it
    what: str  # is scored, e.g. "bicubic ×2"
    words: tuple[str, ...]  # what one types after ``python -m src.evaluate`` to have it scored
    published: Mapping[str, float]  # metric → mean over the images, as printed
    tolerances: Mapping[str, float]  # metric → largest difference that is none
    source: str  # paper and table
    images: int  # how many the set has
    folders: tuple[str, ...]  # names under which the set is usual, in lower case
    package: str | None  # an optional package that is needed
    slow: str | None  # how long it takes, for rows that run on request only

    def obstacle(self, folder: Path | None, *, slow_too: bool) -> str | None:
        """Return why the row cannot be run, or None."""
        if folder is None:
            return f"no images; python -m src.prepare dataset={self.benchmark}"
        count = len(ImageFolder(folder).files())
        if count != self.images:
            return f"{count} images in {folder.name}, not {self.images}: another set"
        if self.package and importlib.util.find_spec(self.package) is None:
            return f"needs the package {self.package}: pip install 'exemplar[{self.package}]'"
        if self.slow and not slow_too:
            return f"{self.slow}; selfcheck=all"
        return None


@dataclass(frozen=True)
class RecomputedRow:
    """What came out for one row."""

    row: PublishedRow
    ours: Mapping[str, float]  # metric → our mean; empty where the row was not run
    obstacle: str | None = None  # why it was not run

    def agrees(self, metric: str) -> bool:
        """Say whether a mean is the published one, within the row's tolerance."""
        difference = abs(self.ours[metric] - self.row.published[metric])
        return difference <= self.row.tolerances[metric]


def run(cfg: DictConfig) -> float:
    """Recompute what can be, print a table, and write ``selfcheck.json`` where ``output`` says.

    Args:
        cfg: ``conf/evaluate.yaml`` with ``selfcheck`` true, or ``all`` for slow rows too. Sets are
            sought under ``paths.data_dir``; ``sets`` or ``data.val_dir`` limit them.

    Returns:
        The number of means that agree.

    Raises:
        MismatchError: If one does not.
        ConfigError: If nothing could be run.
    """
    given = _given(cfg)
    rows = [row for row in read_rows() if is_asked_for(row, given)]
    outcomes = _outcomes(cfg, rows, given)
    make_console().print(_table(outcomes))
    if cfg.output is not None:
        said = [{**asdict(out.row), "ours": out.ours, "not_run": out.obstacle} for out in outcomes]
        content = {"schema": 1, "checked_by": origin(), "rows": said}
        write_json(from_root(cfg.output) / "selfcheck.json", content)
    checked = [(out, metric) for out in outcomes for metric in out.ours]
    wrong = [(out, metric) for out, metric in checked if not out.agrees(metric)]
    if wrong:
        named = ", ".join(f"{out.row.benchmark} {out.row.what} {metric}" for out, metric in wrong)
        raise MismatchError(
            f"{len(wrong)} of {len(checked)} means differ from the published ones: {named}. The "
            "images, the installed versions or this program differ from what was published."
        )
    if not checked:
        raise ConfigError(
            f"Nothing could be checked: there is no known image set under {cfg.paths.data_dir}. "
            "python -m src.prepare dataset=set5, or set paths.data_dir=<folder of image sets>."
        )
    return float(len(checked))


def _given(cfg: DictConfig) -> list[str]:
    """Return the sets and folders that the user named."""
    sets = cfg.get("sets") or []
    named = [sets] if isinstance(sets, str) else [str(name) for name in sets]
    folder = None if cfg.get("data") is None else cfg.data.get("val_dir")
    return named if folder is None else [*named, str(folder)]


def _outcomes(cfg: DictConfig, rows: list[PublishedRow], given: list[str]) -> list[RecomputedRow]:
    outcomes = []
    with Progress(console=make_console(stderr=True), transient=True) as progress:
        for row in rows:
            folder = folder_of(row, cfg.paths.data_dir, given)
            obstacle = row.obstacle(folder, slow_too=cfg.selfcheck == "all")
            ours: dict[str, float] = {}
            if folder is not None and obstacle is None:
                bar = progress.add_task(f"{row.benchmark}, {row.what}", total=row.images)
                ours = _means(cfg, row, folder, ImageBar(progress, bar))
            outcomes.append(RecomputedRow(row, ours, obstacle))
    return outcomes


def _means(cfg: DictConfig, row: PublishedRow, folder: Path, bar: L.Callback) -> dict[str, float]:
    ready = GlobalHydra.instance().is_initialized()
    with nullcontext() if ready else initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        chosen = compose("evaluate", overrides=[*row.words, "metrics=jpeg", "data=folder"])
    chosen.paths = cfg.paths
    chosen.data.val_dir = str(folder)
    chosen.metrics = {metric: chosen.metrics[metric] for metric in row.published}
    merged = settings(chosen, None)
    task, data = build_task(merged), build_data(merged)
    silent_trainer([bar], **trainer_device(cfg.device)).test(task, datamodule=data, verbose=False)
    (board,) = task.scoreboards.values()
    means = board.means()
    return {metric: means[metric] for metric in row.published}


def _table(outcomes: list[RecomputedRow]) -> FoldingTable:
    title, columns = "Published rows without weights", ("published", "ours", "difference")
    table = FoldingTable(["row", "metric"], columns, ["verdict"], remark="why not", title=title)
    for out in outcomes:
        name = f"{out.row.benchmark}, {out.row.what}"
        for metric, published in out.row.published.items():
            digits = _DIGITS.get(metric, 4)
            shown = f"{published:.{digits}f}"
            if out.obstacle is not None:
                table.add_row(name, metric, shown, "–", "–", "not run:", out.obstacle)
                continue
            ours = out.ours[metric]
            verdict = "agrees" if out.agrees(metric) else "DIFFERS"
            numbers = (f"{ours:.{digits + 1}f}", f"{ours - published:+.{digits + 1}f}")
            table.add_row(name, metric, shown, *numbers, verdict)
    return table


def read_rows(file: Path = ROWS_FILE) -> list[PublishedRow]:
    """Return the rows of a file like ``experiments/published/rows.yaml``, in its order."""
    content: Any = OmegaConf.to_container(OmegaConf.load(file))
    rows = []
    for group in content["groups"]:
        common = {**content["tolerances"], **group.get("tolerances", {})}
        for entry in group["rows"]:
            tolerances = {**common, **entry.get("tolerances", {})}
            benchmark = content["sets"][entry["set"]]
            rows.append(
                PublishedRow(
                    benchmark=entry["set"],
                    what=group["what"].format(**entry),
                    words=tuple(word.format(**entry) for word in group["words"]),
                    published={name: entry[name] for name in tolerances if name in entry},
                    tolerances=tolerances,
                    source=group["source"],
                    images=benchmark["images"],
                    folders=tuple(benchmark["folders"]),
                    package=group.get("package"),
                    slow=group.get("slow"),
                )
            )
    return rows


def is_asked_for(row: PublishedRow, given: Sequence[str]) -> bool:
    """Say whether a row is of one of the sets or folders that were given; of none, all are."""
    return not given or any(Path(text).name.lower() in row.folders for text in given)


def folder_of(row: PublishedRow, data_dir: str | Path, given: Sequence[str] = ()) -> Path | None:
    """Return the folder with the images of a row, or None where it is not there.

    Args:
        row: The row.
        data_dir: Holds folders of image sets, prepared or not.
        given: Sets or folders of the user's choice; a folder's name says which set it is.
    """
    folders = (from_root(text) for text in given if Path(text).name.lower() in row.folders)
    chosen = next((folder for folder in folders if folder.is_dir()), None)
    if chosen is not None:
        return chosen
    parent = from_root(data_dir)
    inside = sorted(parent.iterdir()) if parent.is_dir() else []
    sets = {path.name.lower(): path for path in inside if path.is_dir()}
    return next((sets[name] for name in row.folders if name in sets), None)
