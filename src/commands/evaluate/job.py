"""Score one combination of checkpoint, images and condition, and write its record."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812
from omegaconf import DictConfig
from rich.console import Console

from src.app.build import build_data, build_task
from src.app.inference import give_back_large_blocks
from src.app.results import score_table, write_results
from src.commands.evaluate import weightless
from src.commands.evaluate.group import trainer_place
from src.commands.evaluate.record import about
from src.commands.evaluate.settings import settings
from src.commands.evaluate.watch import Pictures, Preemptible
from src.core.errors import DataError
from src.core.paths import from_root
from src.core.resources import Resources
from src.metrics.scoreboard import Scoreboard
from src.weights.checkpoint import Checkpoint, find, load_weights


@dataclass(frozen=True)
class Scored:
    """What came out of one combination.

    Attributes:
        folder: Where its record is.
        boards: Benchmark → scores.
        about: What its record says beside the scores.
        policy: How images went through the network, in words.
    """

    folder: Path
    boards: dict[str, Scoreboard]
    about: dict[str, Any]
    policy: str

    def first_score(self) -> float:
        """Return the mean of the first metric on the first benchmark."""
        return next(iter(next(iter(self.boards.values())).means().values()))

    def show(self, console: Console, checkpoint: Checkpoint | None) -> None:
        """Print the scores of each image, and what they are scores of."""
        console.print(score_table(self.boards, self.about["protocol_in_words"]))
        if checkpoint is not None:
            when = "" if checkpoint.network_alone else f" (step {checkpoint.step:,})"
            console.print(f"Checkpoint  {checkpoint.path}{when}")
        console.print(f"Inference   {self.policy}")
        console.print(f"Written     {self.folder}")


def score(
    cfg: DictConfig,
    checkpoint: Checkpoint | None,
    folder: Path,
    *,
    name: str | None,
    callbacks: list[L.Callback],
) -> Scored:
    """Score ``checkpoint``; write results.json, scores.csv and pictures into ``folder``.

    Args:
        cfg: The configuration of ``src.evaluate``, for one combination.
        checkpoint: What ``cfg.checkpoint`` names; None for a model without weights.
        folder: Made when missing.
        name: What is scored is called so in tables.
        callbacks: Look on while images are scored.

    Raises:
        ExemplarError: If it cannot be scored.
    """
    give_back_large_blocks()
    merged = settings(cfg, checkpoint)
    task, data = build_task(merged), build_data(merged)
    if checkpoint is None:
        weightless.check_net(task.net)
    else:
        load_weights(task.net, checkpoint)
    _make(folder)
    trainer = L.Trainer(
        **trainer_place(cfg),
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        callbacks=[
            Preemptible(),
            Pictures(folder / "images", keep=cfg.images, comparison=cfg.picture),
            *callbacks,
        ],
        default_root_dir=folder,
    )
    resources = Resources()
    trainer.test(task, datamodule=data, verbose=False)
    said = about(task, merged, checkpoint, name=name, took=resources.as_dict())
    said["protocol_in_words"] = str(task.evaluator.protocol)
    said["inference_in_words"] = task.restorer.describe()
    if trainer.is_global_zero:
        write_results(folder, task.scoreboards, said)
    return Scored(folder, task.scoreboards, said, task.restorer.describe())


def output_folder(cfg: DictConfig, checkpoint: str | None) -> Path:
    """Return ``cfg.output``, or a folder named after the present time beside what is scored."""
    if cfg.output is not None:
        return from_root(cfg.output)
    if checkpoint is None:
        return weightless.output_folder(cfg)
    stamp = datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
    run = find(checkpoint).parent
    run = run.parent if run.name == "checkpoints" else run
    return run / "evaluate" / stamp


def _make(folder: Path) -> None:
    """Make the folder now: not after hours of scoring is it found that it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"Results cannot be written to {folder}: {error.strerror}. Set output=<folder>."
        ) from error
