"""Train: build what the config names, fit, save, and say what came out."""

import math
from pathlib import Path

import lightning as L  # noqa: N812
from hydra.core.hydra_config import HydraConfig
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import WandbLogger
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from src.callbacks.checkpoint import LAST
from src.callbacks.csv_logger import ResumableCSVLogger
from src.callbacks.graceful_stop import GracefulStop
from src.callbacks.new_settings import NewSettings
from src.core.errors import CheckpointError
from src.core.paths import from_root
from src.core.types import PlainConfig
from src.runtime import run_folder
from src.runtime.build import build_data, build_task, build_trainer, plain
from src.runtime.checkpoint import Checkpoint, load_weights, open_checkpoint
from src.runtime.origin import origin
from src.runtime.quiet import quiet_lightning
from src.runtime.results import score_table
from src.runtime.resume import given_now, is_resume
from src.tasks.base import RestorationTask


def train(cfg: DictConfig) -> float:
    """Train as ``cfg`` says, in its run folder.

    Returns:
        The last value of the monitored score, for sweeps; NaN where none was logged.

    Raises:
        KeyboardInterrupt: After Ctrl-C, when everything has been saved.
    """
    quiet_lightning()
    folder = Path(cfg.paths.output_dir)
    resume = _resume_point(cfg, folder)
    overrides = [text for text in HydraConfig.get().overrides.task if not is_resume(text)]
    given = given_now(folder, overrides)
    if resume is not None:
        cfg = run_folder.continued(folder, cfg, given)
    OmegaConf.resolve(cfg)
    config = plain(cfg)

    L.seed_everything(cfg.seed, workers=True, verbose=False)
    task, data = build_task(cfg), build_data(cfg)
    trainer = build_trainer(cfg, config, origin())
    if resume is None:
        _begin(folder, config, overrides)
        if cfg.weights is not None:
            load_weights(task.net, open_checkpoint(cfg.weights))
    else:
        _go_on(folder, config, overrides, given, resume.step)
        _continue_metrics(trainer, resume.step)
        trainer.callbacks.append(_new_settings(cfg, given))  # type: ignore[attr-defined]
    _announce(task, cfg, folder)
    _tell_wandb(trainer, config)
    try:
        path = None if resume is None else resume.path
        trainer.fit(task, datamodule=data, ckpt_path=path, weights_only=True)
    finally:
        _finish_wandb(trainer)

    _conclude(trainer, task, folder)
    return float(trainer.callback_metrics.get(cfg.monitor, math.nan))


def _resume_point(cfg: DictConfig, folder: Path) -> Checkpoint | None:
    if cfg.resume is None:
        return None
    path = from_root(folder) / "checkpoints" / LAST
    if not path.is_file():
        raise CheckpointError(
            f"resume={cfg.resume}: {path} is not there; the run stopped before its first "
            "checkpoint (callbacks.checkpoint_last.every_n_steps). Start it again."
        )
    return open_checkpoint(path)


@rank_zero_only
def _begin(folder: Path, config: PlainConfig, overrides: list[str]) -> None:
    run_folder.start(folder, config, overrides)


@rank_zero_only
def _go_on(
    folder: Path, config: PlainConfig, overrides: list[str], given: list[str], step: int
) -> None:
    run_folder.go_on(folder, config, overrides, given, step)


def _new_settings(cfg: DictConfig, given: list[str]) -> NewSettings:
    keys = [text.lstrip("+~").partition("=")[0].split(".") for text in given]
    optimizer = {key[1]: plain(cfg.optimizer)[key[1]] for key in keys if key[0] == "optimizer"}
    return NewSettings(optimizer, scheduler=any(key[0] == "scheduler" for key in keys))


def _continue_metrics(trainer: L.Trainer, step: int) -> None:
    for logger in trainer.loggers:
        if isinstance(logger, ResumableCSVLogger):
            logger.resume_at(step)


@rank_zero_only
def _tell_wandb(trainer: L.Trainer, config: PlainConfig) -> None:
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.config.update(config, allow_val_change=True)


def _finish_wandb(trainer: L.Trainer) -> None:
    """Close the run, so that the next job of a sweep gets one of its own."""
    if any(isinstance(logger, WandbLogger) for logger in trainer.loggers):
        # imported where W&B is used: it takes half a second
        from src.runtime.wandb_logger import finish  # noqa: PLC0415

        finish()


@rank_zero_only
def _announce(task: RestorationTask, cfg: DictConfig, folder: Path) -> None:
    count = sum(parameter.numel() for parameter in task.net.parameters())
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"Run folder  {folder}")
    console.print(f"Network     {type(task.net).__name__}, {count:,} parameters")
    console.print(f"Protocol    {task.evaluator.protocol}")
    console.print(f"Steps       {cfg.trainer.max_steps:,}, batch {cfg.data.batch_size}")


@rank_zero_only
def _conclude(trainer: L.Trainer, task: RestorationTask, folder: Path) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if task.scoreboards:
        console.print(score_table(task.scoreboards, str(task.evaluator.protocol)))
    stopped = any(isinstance(c, GracefulStop) and c.interrupted for c in trainer.callbacks)  # type: ignore[attr-defined]
    if stopped or trainer.global_step < trainer.max_steps:
        console.print(
            f"Stopped after step {trainer.global_step}; everything is saved. Continue with:\n"
            f"  python -m src.train resume={folder}"
        )
    else:
        console.print(f"Done. Score it:  python -m src.evaluate checkpoint={folder}")
    if stopped:
        raise KeyboardInterrupt
