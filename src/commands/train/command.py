"""Train: build what the config names, fit, save, and say what came out."""

import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path

import lightning as L  # noqa: N812
from hydra.core.hydra_config import HydraConfig
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import EarlyStopping
from omegaconf import DictConfig, OmegaConf
from torch import nn

from src.app import run_folder
from src.app.build import build_data, build_task, build_trainer, plain
from src.app.config.options import key_of
from src.app.processes.group import carry_out
from src.app.processes.job import Job
from src.app.processes.process import quiet_lightning
from src.app.results import score_table
from src.app.resume_point import taken_up
from src.commands.train.beginning import begin_with
from src.commands.train.settle import settle_training
from src.core.console import make_console
from src.core.locks import alone_in
from src.core.origin import emulates_bf16
from src.core.preemption import PREEMPTING, Preemption
from src.core.redact import plain_without_passwords
from src.data.datamodule import RestorationData
from src.models.attention import ATTENTION
from src.training.callbacks.carried import RUN_IDS
from src.training.callbacks.csv_logger import METRICS, ResumableCSVLogger, last_value
from src.training.callbacks.going_on import FittingStates, NewSettings, SameJob
from src.training.callbacks.lr_finder import LearningRateFinder
from src.training.callbacks.sources import SameSources
from src.training.callbacks.stopping import GracefulStop
from src.training.loggers.lifecycle import facts, keep_run_id, read_run_id, recorded
from src.training.tasks.base import RestorationTask
from src.weights.checkpoint import Checkpoint, open_checkpoint

_BUSY = (
    "{folder} is in use: {holder} trains there. Wait for it to end, or stop it; two of them would "
    "overwrite each other's checkpoints."
)
_UNUSABLE = (
    "The run folder {folder} cannot be written: {reason}. "
    "Set paths.output_root to a folder that can."
)


def train(cfg: DictConfig) -> float:
    """Train as ``cfg`` says, in its run folder, in as many processes as its trainer asks for.

    Returns:
        The last value of the monitored score, for sweeps, also of an earlier start; NaN for none.

    Raises:
        KeyboardInterrupt: After Ctrl-C, when everything has been saved.
        Preemption: After a scheduler's signal, likewise.
    """
    with alone_in(Path(cfg.paths.output_dir), busy=_BUSY, unusable=_UNUSABLE):
        return carry_out(fit, settle_training(cfg))


def fit(job: Job) -> float:
    """Do one process's part of a training; see ``train``.

    Raises:
        ConfigError: If the processes cannot share a batch.
    """
    quiet_lightning()
    config, folder = job.config, Path(job.folder)
    cfg = OmegaConf.create(config)
    point = job.notes["checkpoint"]
    resume = None if point is None else open_checkpoint(point)
    if resume is not None:
        _restore_run_ids(folder, resume)
    begun = None if resume is not None or cfg.weights is None else open_checkpoint(cfg.weights)

    L.seed_everything(cfg.seed, workers=True, verbose=False)
    task, data = build_task(cfg), build_data(cfg)
    if begun is not None or cfg.get("freeze"):  # not in files of earlier versions
        begin_with(task.net, cfg, begun)
    trainer = build_trainer(cfg, config)
    trainer.callbacks.append(SameJob(job.digest))  # type: ignore[attr-defined]
    runs, (step, before) = ExitStack(), (0, {}) if resume is None else (resume.step, resume.origin)
    begin = _beginning(job, trainer, runs, task.net, step)
    sources = SameSources(before, begin, accepted=job.notes["accepted"])
    trainer.callbacks.append(sources)  # type: ignore[attr-defined]
    if resume is not None:
        settings = _new_settings(cfg, job.notes["given"])
        trainer.callbacks += [settings, FittingStates()]  # type: ignore[attr-defined]
    _announce(trainer, task, data, cfg, step)
    path = None if resume is None else resume.path
    with runs, nullcontext() if path is None else taken_up(path):
        trainer.fit(task, datamodule=data, ckpt_path=path, weights_only=True)

    _conclude(trainer, task, job)
    score = trainer.callback_metrics.get(cfg.monitor)
    return last_value(folder / METRICS, cfg.monitor) if score is None else float(score)


def _beginning(
    job: Job, trainer: L.Trainer, runs: ExitStack, net: nn.Module, step: int
) -> Callable[[list[str]], None]:
    """Return what opens the loggers' ``runs`` and writes down that the run begins or goes on.

    It is called when images and code are known to be right. Before, the trainer has no logger and
    nothing is in the run folder: images that are refused leave no folder and no failed run.
    """
    loggers, trainer.loggers = trainer.loggers, []
    overrides, given = job.notes["overrides"], job.notes["given"]

    def begin(changes: list[str]) -> None:
        trainer.loggers = loggers
        config, about = plain_without_passwords(job.config), facts(job.config, net)
        runs.enter_context(recorded(loggers, config, about))
        write_down(changes)

    @rank_zero_only
    def write_down(changes: list[str]) -> None:
        print(f"Run folder  {job.folder}", file=sys.stderr)
        if not job.notes["resumes"]:
            run_folder.start(Path(job.folder), job.config, overrides)
            return
        change = {"step": step, "changes": changes, "overrides": given}
        run_folder.go_on(Path(job.folder), job.config, overrides, change)
        for logger in loggers:
            if isinstance(logger, ResumableCSVLogger):
                logger.resume_at(step)

    return begin


@rank_zero_only
def _restore_run_ids(folder: Path, resume: Checkpoint) -> None:
    for name, run_id in resume.origin.get(RUN_IDS, {}).items():
        if read_run_id(folder, name) is None:
            keep_run_id(folder, name, run_id)


def _new_settings(cfg: DictConfig, given: list[str]) -> NewSettings:
    keys = [key_of(text).split(".") for text in given]
    optimizer = {key[1]: plain(cfg.optimizer)[key[1]] for key in keys if key[0] == "optimizer"}
    return NewSettings(optimizer, scheduler=any(key[0] == "scheduler" for key in keys))


@rank_zero_only
def _announce(
    trainer: L.Trainer, task: RestorationTask, data: RestorationData, cfg: DictConfig, begun: int
) -> None:
    """Say what is trained, on what, where, and from which step on."""
    chosen = HydraConfig.get().runtime.choices
    levels = [
        f" {key}={cfg.degradation[key]}"
        for key in ("sigma", "quality", "scale", "phase")
        if key in cfg.degradation
    ]
    count = sum(parameter.numel() for parameter in task.net.parameters())
    world = cfg.trainer.devices * cfg.trainer.num_nodes
    shared = f", shared by {world} processes" if world > 1 else ""
    block = cfg.model.get("attention")  # of the weights' own network, if it begins with such
    attention = block and ATTENTION.name_of(str(block.get("_target_")))
    described = getattr(data, "described", "")  # not of data of one's own
    spoilt = (
        "pairs" if cfg.data.get("target_dir") else f"{chosen.get('degradation')}{''.join(levels)}"
    )
    rows = {
        "Task": f"{chosen.get('task')}: {spoilt}",
        "Data": ": ".join(filter(None, [chosen.get("data"), described])),
        "Network": f"{type(task.net).__name__}, {count:,} parameters"
        + (f", attention {attention}" if attention else ""),
        "Protocol": task.evaluator.protocol,
        "Optimizer": f"{chosen.get('optimizer')}, lr {cfg.optimizer.get('lr')}, "
        f"schedule {chosen.get('scheduler')}",
        "Device": device_of(trainer),
        "Steps": (f"{begun:,} to " if begun else "")
        + f"{cfg.trainer.max_steps:,}, batch {cfg.data.batch_size}{shared}",
    }
    for name, value in rows.items():
        print(f"{name:<10}  {value}", file=sys.stderr)


def device_of(trainer: L.Trainer) -> str:
    """Return where and in which precision is trained, and what to do if that is needlessly slow."""
    device = trainer.strategy.root_device
    slow = device.type == "cpu" and trainer.precision.startswith("bf16") and emulates_bf16()
    advice = ", which this processor only emulates: trainer.precision=32-true is far quicker here"
    return f"{device}, precision {trainer.precision}{advice if slow else ''}"


@rank_zero_only
def _conclude(trainer: L.Trainer, task: RestorationTask, job: Job) -> None:
    console = make_console(stderr=True)
    if any(board.restored for board in task.scoreboards.values()):
        console.print(score_table(task.scoreboards, str(task.evaluator.protocol)))
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    asked = max((c.signum for c in callbacks if isinstance(c, GracefulStop)), default=0)
    if not asked and any(isinstance(c, LearningRateFinder) for c in callbacks):
        return  # it has said what to do next
    ended = _ended(trainer, callbacks)
    text = _farewell(trainer, job, ended)
    if ended or asked not in PREEMPTING:
        console.print(text)
    if asked in PREEMPTING and (not ended or job.notes["is_one_of_many"]):
        raise Preemption(text, asked)
    if asked == signal.SIGINT:
        raise KeyboardInterrupt


def _farewell(trainer: L.Trainer, job: Job, ended: str) -> str:
    """Return in words how it has ended, and what to do next where no other command does that."""
    is_cell, folder = job.notes["is_cell"], Path(job.folder)
    if ended:
        how = f" Score it:  python -m src.evaluate {_scored_by(trainer, folder)}"
    else:
        ended = f"Stopped after step {trainer.global_step}; everything is saved."
        how = f" Continue with:\n  python -m src.train resume={folder}"
    return ended if is_cell else ended + how


def _ended(trainer: L.Trainer, callbacks: Sequence[L.Callback]) -> str:
    """Return in words how training has ended; empty if it was stopped and is to go on."""
    if trainer.global_step >= trainer.max_steps:
        return "Done."
    early = [c for c in callbacks if isinstance(c, EarlyStopping) and c.stopping_reason_message]
    if not early:
        return ""
    return (
        f"Stopped early at step {trainer.global_step:,} of {trainer.max_steps:,}, as asked for by "
        f"{type(early[0]).__name__}: {early[0].stopping_reason_message} Done."
    )


def _scored_by(trainer: L.Trainer, folder: Path) -> str:
    """Return the words that score the run, with images where training had none to score."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    if getattr(data, "benchmark_names", ("",)):
        return f"checkpoint={folder}"
    if getattr(data, "has_pairs", False):
        pairs = "data.val_target_dir=<targets> data.val_input_dir=<inputs>"
        return f"checkpoint={folder} data=pairs {pairs}"
    return f"checkpoint={folder} sets=<a folder of clean images>"
