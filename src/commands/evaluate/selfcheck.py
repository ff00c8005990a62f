"""Self-check: recompute published rows that need no weights, and compare."""

from collections.abc import Mapping
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
from src.commands.evaluate import weightless
from src.commands.evaluate.selfcheck_rows import Row, folder_of, is_asked_for, read_rows
from src.core.console import FoldingTable, make_console
from src.core.errors import ConfigError, MismatchError
from src.core.files import write_json
from src.core.origin import origin
from src.core.paths import CONF_DIR, from_root

_DIGITS = {"psnr": 2}


@dataclass(frozen=True)
class Outcome:
    """What came out for one row.

    Attributes:
        row: The row.
        ours: Metric → our mean; empty where the row was not run.
        obstacle: Why it was not run, or None.
    """

    row: Row
    ours: Mapping[str, float]
    obstacle: str | None = None

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
        folder = from_root(cfg.output)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "selfcheck.json", _record(outcomes))
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


def _outcomes(cfg: DictConfig, rows: list[Row], given: list[str]) -> list[Outcome]:
    outcomes = []
    with Progress(console=make_console(stderr=True), transient=True) as progress:
        for row in rows:
            folder = folder_of(row, cfg.paths.data_dir, given)
            obstacle = row.obstacle(folder, slow_too=cfg.selfcheck == "all")
            ours: dict[str, float] = {}
            if folder is not None and obstacle is None:
                bar = _Advance(progress, f"{row.benchmark}, {row.what}", row.images)
                ours = _means(cfg, row, folder, bar)
            outcomes.append(Outcome(row, ours, obstacle))
    return outcomes


def _means(cfg: DictConfig, row: Row, folder: Path, bar: L.Callback) -> dict[str, float]:
    ready = GlobalHydra.instance().is_initialized()
    with nullcontext() if ready else initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        chosen = compose("evaluate", overrides=[*row.words, "metrics=jpeg", "data=folder"])
    chosen.paths = cfg.paths
    chosen.data.val_dir = str(folder)
    chosen.metrics = {metric: chosen.metrics[metric] for metric in row.published}
    settings = weightless.settings(chosen)
    OmegaConf.resolve(settings)
    task, data = build_task(settings), build_data(settings)
    trainer = L.Trainer(
        **trainer_device(cfg.device),
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        callbacks=[bar],
    )
    trainer.test(task, datamodule=data, verbose=False)
    (board,) = task.scoreboards.values()
    means = board.means()
    return {metric: means[metric] for metric in row.published}


class _Advance(L.Callback):
    """Moves a progress bar on by one image."""

    def __init__(self, progress: Progress, what: str, images: int) -> None:
        self.progress, self.bar = progress, progress.add_task(what, total=images)

    def on_test_batch_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Count one image."""
        self.progress.advance(self.bar)


def _table(outcomes: list[Outcome]) -> FoldingTable:
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


def _record(outcomes: list[Outcome]) -> dict[str, Any]:
    rows = [{**asdict(out.row), "ours": out.ours, "not_run": out.obstacle} for out in outcomes]
    return {"schema": 1, "checked_by": origin(), "rows": rows}
