"""One combination is scored here, by one process or several; its record is written."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812
from omegaconf import DictConfig, OmegaConf
from torch import nn

from src.app.build import build_data, build_task, plain
from src.app.inference import give_back_large_blocks, trainer_device
from src.app.processes.job import Job
from src.app.processes.place import cluster_environment, here
from src.app.results import write_results
from src.commands.evaluate.plan import Combination
from src.commands.evaluate.record import Scored, about, config_hash
from src.commands.evaluate.settings import check_net, settings
from src.commands.evaluate.watch import Pictures, Preemptible
from src.core.errors import ConfigError, DataError
from src.core.memory import Resources
from src.data.prepared import identify
from src.inference.precision import Precision
from src.metrics.scoreboard import Scoreboard, mean_of
from src.weights.checkpoint import Checkpoint, load_weights

_DRAWS_NOTHING = ("Bicubic", "PillowBicubic", "Identity", "Mosaic", "SharedGaussianNoise")
"""Degradations that are the same for an image however often it is scored."""


def settle_evaluation(cfg: DictConfig, folder: Path) -> Job:
    """Return the job of an evaluation; its number of processes and folder are decided.

    What only a checkpoint's own configuration can give stays an interpolation: nothing in it is
    drawn, and every process reads the same checkpoint. Several processes write into ``folder``.

    Raises:
        ConfigError: If the number of processes cannot be, or each would choose a precision.
    """
    place, processes = here(), int(cfg.processes)
    if processes < 1:
        raise ConfigError(f"processes={processes} must be 1 or more.")
    if place.starter is not None:
        if processes not in (1, place.local_world):
            raise ConfigError(
                f"{place.starter} has started {place.local_world} processes on each machine; leave "
                f"processes={processes} out."
            )
        processes = place.local_world
    if cfg.precision == "auto" and processes * place.machines > 1:
        raise ConfigError(
            "precision=auto: each process would measure and choose for itself; take processes=1, "
            "or precision=bf16 or fp32."
        )
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=False)  # type: ignore[assignment]
    config["processes"] = processes
    if processes * place.machines > 1:
        config["output"] = str(folder)  # its name holds the time, which each would read for itself
        config["paths"] = OmegaConf.to_container(cfg.paths, resolve=True)
    return Job(config, str(folder), processes=processes)


def trainer_place(cfg: DictConfig) -> dict[str, Any]:
    """Return what Lightning's trainer must know of devices and processes.

    Raises:
        ConfigError: If one device is named for several processes.
    """
    placed = trainer_device(cfg.device)
    if cfg.processes == 1 and here().machines == 1:
        return placed
    if ":" in cfg.device:
        raise ConfigError(
            f"device={cfg.device} names one device, processes={cfg.processes} need one each; take "
            "device=cuda and choose cards by CUDA_VISIBLE_DEVICES=0,2."
        )
    return {
        **placed,
        "devices": cfg.processes,
        "num_nodes": here().machines,
        "strategy": "ddp",
        "use_distributed_sampler": False,  # ours shares the images and repeats none
        "plugins": [cluster_environment()],
    }


def score(
    cfg: DictConfig,
    combination: Combination,
    checkpoint: Checkpoint | None,
    folder: Path,
    *,
    callbacks: list[L.Callback],
) -> Scored:
    """Score one combination; write results.json, scores.csv and pictures into ``folder``.

    Raises:
        ExemplarError: If it cannot be scored.
    """
    give_back_large_blocks()
    merged = settings(combination.applied(cfg), checkpoint)
    seeds = noise_seeds(cfg, merged.degradation)
    task, data = build_task(merged), build_data(merged)
    task.restorer.precision = Precision(cfg.precision)
    _ready(task.net, checkpoint)
    try:  # now: not after hours of scoring is it noticed that it cannot be written
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"Results cannot be written to {folder}: {error.strerror}. Set output=<folder>."
        ) from error
    pictures = Pictures(folder / "images", keep=cfg.images, comparison=cfg.picture)
    trainer = silent_trainer(
        [Preemptible(), pictures, *callbacks], default_root_dir=folder, **trainer_place(cfg)
    )
    resources = Resources()
    realised = []
    for task.noise_seed in seeds or [0]:
        trainer.test(task, datamodule=data, verbose=False)
        realised.append(task.scoreboards)
    boards = {name: mean_of([boards[name] for boards in realised]) for name in realised[0]}
    pixels: dict[str, dict[str, str]] = getattr(data, "pixels", {})  # not of data of one's own
    record = about(task, merged, checkpoint, name=combination.name, took=resources.as_dict())
    record |= {"noise_seeds": seeds, **task.restorer.precision.for_record()}
    tiles = {name: board.tiles for name, board in boards.items()}
    scored = {"pixels": pixels, "tile": tiles} | task.restorer.precision.for_record()
    record["config_sha256"] = config_hash(plain(merged), scored | {"noise_seeds": seeds})
    if combination.restored is not None:
        pixels = _judged(combination.restored, boards, record, pixels)
    spread = _spread(realised)
    if trainer.is_global_zero:
        write_results(folder, boards, record, pixels=pixels, spread=spread)
    return Scored(
        folder, boards, record, {name: identify(name, pixels[name]) for name in pixels}, spread
    )


def _ready(net: nn.Module, checkpoint: Checkpoint | None) -> None:
    """Give a network its weights, or refuse one that would have random ones."""
    if checkpoint is None:
        check_net(net)
    else:
        load_weights(net, checkpoint)


def _judged(
    folder: Path,
    boards: Mapping[str, Scoreboard],
    record: dict[str, Any],
    pixels: Mapping[str, Mapping[str, str]],
) -> dict[str, dict[str, str]]:
    """Say in a record that images of ``folder`` were scored; return fingerprints of the clean ones.

    Nothing is said of inputs, which are not known.
    """
    record["restored"] = str(folder)
    for board in boards.values():
        board.baseline.clear()
    return {
        name: {key: both.rpartition(" ")[2] for key, both in images.items()}
        for name, images in pixels.items()
    }


def noise_seeds(cfg: DictConfig, degradation: DictConfig) -> list[int]:
    """Return the seed of each realisation of what the degradation draws; none if it draws nothing.

    Raises:
        ConfigError: If a seed or several realisations are asked for where nothing is drawn.
    """
    kind, level = str(degradation["_target_"]).rpartition(".")[2], degradation.get("quality")
    noisy = kind not in _DRAWS_NOTHING or any(degradation.get("noise") or ())  # a mosaic's
    if noisy and not (level and level[0] == level[1]):
        return list(range(cfg.seed, cfg.seed + cfg.realisations))
    if cfg.seed or cfg.realisations != 1:
        raise ConfigError(
            f"seed={cfg.seed} realisations={cfg.realisations}: the degradation {kind} draws "
            "nothing when it is scored, so that all realisations are alike; leave both out."
        )
    return []


def _spread(realised: Sequence[Mapping[str, Scoreboard]]) -> dict[str, dict[str, float]]:
    if len(realised) < 2:
        return {}
    means = [{name: board.means() for name, board in boards.items()} for boards in realised]
    return {
        name: {metric: statistics.stdev(mean[name][metric] for mean in means) for metric in first}
        for name, first in means[0].items()
    }


def silent_trainer(callbacks: list[L.Callback], **options: Any) -> L.Trainer:  # noqa: ANN401
    """Return a trainer that writes and prints nothing of its own; ``options`` say where it runs."""
    return L.Trainer(
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        callbacks=callbacks,
        **options,
    )
