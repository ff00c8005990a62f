"""Evaluate: score a checkpoint, or a model without weights, under a named protocol."""

from datetime import datetime
from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from src.callbacks.image_panels import panel
from src.core.errors import DataError
from src.core.paths import from_root
from src.data.image_io import write_png
from src.metrics.scoreboard import Scoreboard
from src.runtime import weightless
from src.runtime.build import build_data, build_task, plain
from src.runtime.checkpoint import Checkpoint, load_weights, open_checkpoint
from src.runtime.inference import merge_inference, trainer_device
from src.runtime.origin import hardware, origin
from src.runtime.quiet import quiet_lightning
from src.runtime.results import score_table, write_results
from src.tasks.base import RestorationTask

_GROUPS = ("data", "degradation", "protocol", "metrics")


def evaluate(cfg: DictConfig) -> float:
    """Score ``cfg.checkpoint``; write results.json, scores.csv and pictures; print a table.

    Returns:
        The mean of the first metric on the first benchmark, for sweeps.

    Raises:
        ConfigError: If there is neither a checkpoint nor a model that needs none, or both.
    """
    quiet_lightning()
    weightless.check_request(cfg)
    checkpoint = None if cfg.checkpoint is None else open_checkpoint(cfg.checkpoint)
    merged = _settings(cfg, checkpoint)
    for key in ("train", "train_dir"):  # what is scored needs no training images
        if key in merged.data:
            merged.data[key] = None
    OmegaConf.resolve(merged)
    task, data = build_task(merged), build_data(merged)
    if checkpoint is None:
        weightless.check_net(task.net)
    else:
        load_weights(task.net, checkpoint)
    folder = _output_folder(cfg, checkpoint)
    _make(folder)

    pictures = _Pictures(folder / "images", keep=cfg.images, comparison=cfg.picture)
    trainer = L.Trainer(
        **trainer_device(cfg.device),
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[pictures],
        default_root_dir=folder,
    )
    trainer.test(task, datamodule=data, verbose=False)
    _report(task, merged, checkpoint, folder)
    return _first_score(task.scoreboards)


def _settings(cfg: DictConfig, checkpoint: Checkpoint | None) -> DictConfig:
    if checkpoint is None:
        return weightless.settings(cfg)
    if checkpoint.network_alone:
        return weightless.for_network(cfg, checkpoint)
    return _as_trained(cfg, checkpoint)


def _as_trained(cfg: DictConfig, checkpoint: Checkpoint) -> DictConfig:
    """Return the checkpoint's config with the groups that were given, unresolved."""
    merged = checkpoint.config.copy()
    for group in _GROUPS:
        if cfg.get(group) is not None:
            merged[group] = OmegaConf.to_container(cfg[group])
    new_protocol = cfg.get("protocol") is not None and cfg.get("degradation") is None
    if new_protocol and "clip8" in merged.degradation:
        # The trained degradation was frozen with the trained protocol's answer to this.
        merged.degradation.clip8 = merged.protocol.input_8bit
    merged.paths = OmegaConf.to_container(cfg.paths)
    merged.inference = merge_inference(checkpoint, cfg.inference)
    return merged


def _output_folder(cfg: DictConfig, checkpoint: Checkpoint | None) -> Path:
    if cfg.output is not None:
        return from_root(cfg.output)
    if checkpoint is None:
        return weightless.output_folder(cfg)
    stamp = datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
    run = checkpoint.path.parent
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


def _report(
    task: RestorationTask, cfg: DictConfig, checkpoint: Checkpoint | None, folder: Path
) -> None:
    protocol = task.evaluator.protocol
    console = Console(soft_wrap=True, highlight=False)
    console.print(score_table(task.scoreboards, str(protocol)))
    about: dict[str, Any] = {
        "checkpoint": checkpoint and str(checkpoint.path),
        "step": checkpoint and checkpoint.step,
        "trained_by": checkpoint and checkpoint.origin,
        "scored_by": origin(),
        "model": plain(cfg.model),
        "degradation": plain(cfg.degradation),
        "protocol": protocol.as_dict(),
        "inference": task.restorer.policy.as_dict(),
        "hardware": hardware(),
    }
    write_results(folder, task.scoreboards, about)
    if checkpoint is not None:
        when = "" if checkpoint.network_alone else f" (step {checkpoint.step:,})"
        console.print(f"Checkpoint  {checkpoint.path}{when}")
    console.print(f"Inference   {task.restorer.policy}")
    console.print(f"Written     {folder}")


def _first_score(boards: dict[str, Scoreboard]) -> float:
    means = next(iter(boards.values())).means()
    return next(iter(means.values()))


class _Pictures(L.Callback):
    """Write a panel an image, and one comparison of the first image."""

    def __init__(self, folder: Path, *, keep: bool, comparison: str | None) -> None:
        self.folder, self.keep = folder, keep
        self.comparison = None if comparison is None else from_root(comparison)

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw what the task returned."""
        image = panel(*(outputs[name][0].cpu() for name in ("input", "restored", "target")))
        if self.keep:
            name = f"{outputs['benchmark']}_{outputs['key'][0]}".replace("/", "_")
            write_png(self.folder / f"{name}.png", image)
        if self.comparison is not None and trainer.is_global_zero:
            width = image.shape[1] // 4
            write_png(self.comparison, image[:, : 3 * width])
            self.comparison = None
