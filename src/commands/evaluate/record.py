"""What came out: what each record says beside its scores, and all combinations side by side."""

import hashlib
import json
import math
import shlex
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from src.app.build import plain
from src.app.results import METRIC_DIGITS, METRIC_NAMES, SCHEMA, finite, score_table
from src.commands.evaluate.plan import Combination
from src.commands.evaluate.settings import READING
from src.core.console import FoldingTable
from src.core.errors import ExemplarError
from src.core.files import write_csv, write_json
from src.core.origin import hardware, origin, versions
from src.core.paths import ROOT
from src.data.prepared import doubt
from src.metrics.direction import higher_is_better
from src.metrics.scoreboard import Scoreboard
from src.models.backbones import BACKBONES
from src.training.tasks.base import RestorationTask
from src.weights.checkpoint import Checkpoint, weights_hash
from src.weights.checkpoint_file import BEST

_DECIDES = ("task", "model", "degradation", "protocol", "metrics", "inference", "io")
_READ_AS = ("channels", "grey")  # of ``data``
"""Parts of a configuration that move a score; folders and devices do not."""
_TRAINED_WITH = ("task", "degradation", "loss", "optimizer", "scheduler", "seed", "monitor")
_TRAINER = ("max_steps", "precision", "accumulate_grad_batches", "gradient_clip_val")
SPREAD = "±  standard error: over the images of a set; of a mean of seeds, over the seeds"
"""What the numbers behind ± of ``summary_table`` are."""
_COLUMNS = ("name", "benchmark", "condition", "images")


@dataclass(frozen=True)
class Scored:
    """What came out of one combination."""

    folder: Path  # of its record
    boards: dict[str, Scoreboard]  # of each benchmark
    about: dict[str, Any]  # what its record says beside the scores
    sets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # which images these are
    spread: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # over realisations

    def first_score(self) -> float:
        """Return the mean of the first metric on the first benchmark."""
        return next(iter(next(iter(self.boards.values())).means().values()))

    def show(self, console: Console, checkpoint: Checkpoint | None) -> None:
        """Print the scores of each image, and what they are scores of."""
        console.print(score_table(self.boards, self.about["protocol_in_words"]))
        if checkpoint is not None:
            when = "" if checkpoint.network_alone else f" (step {checkpoint.step:,})"
            console.print(f"Checkpoint  {checkpoint.path}{when}")
        console.print(f"Inference   {self.about['inference_in_words']}")
        for name, spread in self.spread.items():
            seeds = len(self.about["noise_seeds"])
            each = ", ".join(
                f"{METRIC_NAMES.get(m, m)} ±{s:.4f}"
                for m, s in spread.items()
                if not m.endswith("_input")
            )
            console.print(f"Noise       {name}: {seeds} realisations, standard deviation {each}")
        if self.about["read_as"]["channels"] == 1:
            console.print("Pixels      luma of 16 to 235 where files have colour")
        show_doubts(console, [self])
        chosen_on = (self.about["training"] or {}).get("chosen_on", [])
        if not self.boards.keys().isdisjoint(chosen_on):
            console.print(f"Chosen on   {', '.join(chosen_on)}: these scores chose the checkpoint")
        console.print(f"Written     {self.folder}")


def show_doubts(console: Console, scored: Iterable[Scored]) -> None:
    """Print once of each image set why no published score compares, where that is so."""
    doubts = [(name, doubt(name, one)) for each in scored for name, one in each.sets.items()]
    for name, reason in dict.fromkeys(doubts):
        if reason:
            console.print(f"Images      {name}: {reason}", style="yellow")


def about(
    task: RestorationTask,
    cfg: DictConfig,
    checkpoint: Checkpoint | None,
    *,
    name: str | None,
    took: dict[str, Any],
) -> dict[str, Any]:
    """Return all that a record says beside its scores.

    Args:
        task: What was scored.
        cfg: What it was built from, resolved.
        checkpoint: Where its weights came from.
        name: What it is called in tables; None: after its network.
        took: Wall time and peak memory.
    """
    config: dict[str, Any] = plain(cfg)
    metrics = task.evaluator.metrics
    dtype = next((weights.dtype for weights in task.net.parameters()), torch.float32)
    return {
        "name": name or BACKBONES.name_of(config["model"]["_target_"]),
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": command(),
        "checkpoint": checkpoint and _short(str(checkpoint.path)),
        "step": checkpoint and checkpoint.step,
        "weights_sha256": checkpoint and weights_hash(checkpoint.weights),
        "trained_by": checkpoint and checkpoint.origin,
        "scored_by": {**origin(), "packages": versions()},
        "training": checkpoint and training_of(checkpoint),
        "parameters": sum(weights.numel() for weights in task.net.parameters()),
        "task": config["task"],
        "model": config["model"],
        "degradation": config["degradation"],
        "higher_is_better": {name: higher_is_better(name, metrics) for name in metrics},
        "read_as": {key: config["data"].get(key) for key in _READ_AS},
        "protocol": task.evaluator.protocol.as_dict(),
        "inference": task.restorer.policy.as_dict(),
        "dtype": str(dtype).removeprefix("torch."),
        "hardware": hardware(),
        "took": took,
        "protocol_in_words": str(task.evaluator.protocol),
        "inference_in_words": task.restorer.describe(),
    }


def training_of(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """Return what of a training may move scores, on what, and which sets chose its checkpoint.

    Of a network alone that is not known: None.
    """
    if checkpoint.network_alone:
        return None
    config: dict[str, Any] = plain(checkpoint.config)
    data = {key: value for key, value in config["data"].items() if key not in READING}
    scored = [*(data.pop("benchmarks", None) or {})]
    folders = data.pop("val_dir", None) or data.pop("val_target_dir", None) or []
    scored += [Path(f).name for f in ([folders] if isinstance(folders, str) else folders)]
    return {
        **{key: config[key] for key in _TRAINED_WITH if key in config},
        "data": {
            key: _short(value) if isinstance(value, str) else value for key, value in data.items()
        },
        "trainer": {key: config["trainer"][key] for key in _TRAINER if key in config["trainer"]},
        "chosen_on": scored if checkpoint.path.name == BEST else [],
    }


def command() -> str | None:
    """Return the command line that is being run, or None where there is none."""
    if not HydraConfig.initialized():
        return None
    settings = HydraConfig.get()
    words = [_short(word) for word in settings.overrides.task]
    return f"python -m src.{settings.job.config_name} {shlex.join(words)}".rstrip()


def config_hash(config: Mapping[str, Any], scored: Mapping[str, Any]) -> str:
    """Return SHA-256 of what in a plain configuration decides scores, and of what was scored how.

    Args:
        config: The configuration.
        scored: Fingerprints of the images, their tiles, and the seeds of the noise.
    """
    decisive: dict[str, Any] = {key: config[key] for key in _DECIDES if key in config}
    decisive["data"] = {key: config["data"].get(key) for key in _READ_AS}
    decisive["scored"] = scored
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _short(text: str) -> str:
    """Return a path or override without the folder of the repository before it."""
    return text.replace(f"{ROOT}/", "")


@dataclass(frozen=True)
class CombinationResult:
    """A combination, and its scores or what stopped it."""

    combination: Combination
    outcome: Scored | ExemplarError

    def score(self) -> float:
        """Return the score that sweeps look at; NaN where there is none."""
        return self.outcome.first_score() if isinstance(self.outcome, Scored) else math.nan

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one row a benchmark: what was scored, means and standard errors, or the error."""
        condition = dict(self.combination.condition)
        if not isinstance(self.outcome, Scored):
            folder = self.combination.images
            name = self.combination.name or "–"
            row = {"name": name, "benchmark": folder.name if folder else "–"}
            yield {**row, "condition": condition, "images": 0, "error": str(self.outcome)}
            return
        for benchmark, board in self.outcome.boards.items():
            yield {
                "name": self.outcome.about["name"],
                "benchmark": benchmark,
                "condition": condition,
                "images": len(board.restored),
                "mean": board.means(),
                "standard_error": board.standard_errors(),
                "protocol": self.outcome.about["protocol_in_words"],
                "folder": self.outcome.folder.name,
                "doubt": doubt(benchmark, self.outcome.sets.get(benchmark)),
            }


def _rows_of(results: Sequence[CombinationResult]) -> list[dict[str, Any]]:
    """Return the rows of all combinations, and a row more for those that differ in seed alone."""
    rows = [row for result in results for row in result.rows()]
    alike: dict[str, dict[int, dict[str, Any]]] = {}
    for result in results:
        about = result.outcome.about if isinstance(result.outcome, Scored) else {}
        training = dict(about.get("training") or {})
        seed = training.pop("seed", None)
        training["data"] = {**training.get("data", {}), "seed": None}  # which is the run's
        for row in result.rows() if seed is not None else ():
            what = [row["benchmark"], about["config_sha256"], about["step"], training]
            alike.setdefault(json.dumps(what, sort_keys=True), {})[seed] = row
    return rows + [_over_seeds(by_seed) for by_seed in alike.values() if len(by_seed) > 1]


def _over_seeds(by_seed: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """Return the row of runs that differ in their seed alone: mean ± standard error over seeds."""
    first, count = next(iter(by_seed.values())), len(by_seed)
    means = {m: [row["mean"][m] for row in by_seed.values()] for m in first["mean"]}
    return {
        **first,
        "name": f"mean of {count} seeds",
        "seeds": sorted(by_seed),
        "mean": {metric: statistics.fmean(values) for metric, values in means.items()},
        "standard_error": {
            metric: statistics.stdev(values) / math.sqrt(count) for metric, values in means.items()
        },
        "folder": None,
    }


def summary_table(results: Sequence[CombinationResult]) -> FoldingTable:
    """Return one row a combination, mean ± standard error of each score, and one over seeds."""
    rows = _rows_of(results)
    metrics = [metric for metric in _metrics(rows) if not metric.endswith("_input")]
    numbers = [METRIC_NAMES.get(metric, metric) for metric in metrics] or ["score"]
    table = FoldingTable(["model", "images", "condition"], numbers)
    for row in rows:
        what = (row["name"], f"{row['benchmark']} ({row['images']})", _condition(row))
        if "error" in row:
            table.add_row(*what, "failed", style="red")
        else:
            table.add_row(*what, *(_cell(row, metric) for metric in metrics))
    return table


def write_summary(folder: Path, results: Sequence[CombinationResult]) -> None:
    """Write ``summary.json`` and ``summary.csv``, failures included."""
    rows = _rows_of(results)
    write_json(folder / "summary.json", finite({"schema": SCHEMA, "combinations": rows}))
    metrics = _metrics(rows)
    errors = [f"{metric}_standard_error" for metric in metrics]
    table: list[list[object]] = [[*_COLUMNS, *metrics, *errors, "error", "doubt"]]
    for row in rows:
        scores = [row.get("mean", {}).get(metric) for metric in metrics]
        spread = [row.get("standard_error", {}).get(metric) for metric in metrics]
        what = (row["name"], row["benchmark"], _condition(row), row["images"])
        table.append([*what, *scores, *spread, row.get("error"), row.get("doubt")])
    write_csv(folder / "summary.csv", table)


def refuse_failures(results: Sequence[CombinationResult], folder: Path) -> None:
    """Raise if a combination failed, so that the command does not end as if all were well.

    Raises:
        ExemplarError: Naming each and its reason.
    """
    failed = [result for result in results if not isinstance(result.outcome, Scored)]
    if failed:
        reasons = "".join(f"\n  {item.combination}: {item.outcome}" for item in failed)
        raise ExemplarError(
            f"{len(failed)} of {len(results)} combinations failed; the others are in {folder}."
            + reasons
        )


def _metrics(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(metric for row in rows for metric in row.get("mean", {})))


def _condition(row: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in row["condition"].items())


def _cell(row: dict[str, Any], metric: str) -> str:
    digits = METRIC_DIGITS.get(metric, 4)
    value, error = row["mean"].get(metric, math.nan), row["standard_error"].get(metric, math.nan)
    spread = "" if math.isnan(error) else f" ± {error:.{digits}f}"
    return f"{value:.{digits}f}{spread}"
