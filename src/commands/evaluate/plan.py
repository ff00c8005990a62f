"""Which combinations of checkpoint, image set and condition an evaluation is made of."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.app.config.options import key_of
from src.app.sweeps.sweep import own_folder
from src.commands.evaluate.settings import READING, typed
from src.core.errors import ConfigError, DataError
from src.core.paths import from_root
from src.data.prepared import folders_of_sets, refuse_nothing, refuse_twice
from src.models.backbones import BACKBONES
from src.training.tasks import TASKS
from src.weights.checkpoint import find
from src.weights.hub import is_remote, parse

CONDITIONS = ("sigma", "quality", "phase", "scale")
"""Keys of conf/evaluate.yaml that take one value or several."""


@dataclass(frozen=True)
class Combination:
    """One thing to score."""

    name: str | None  # what the checkpoint or folder is called in tables; None where there is none
    checkpoint: str | None  # where it is; None for a model without weights
    restored: Path | None  # the folder of images that are restored already
    images: Path | None  # their folder; None: what the configuration says
    condition: Mapping[str, float | str]  # e.g. {"sigma": 25}; empty: what the configuration says
    varied: tuple[str, ...]  # what tells it from the others, e.g. ("runA", "set5", "sigma_25")

    def applied(self, cfg: DictConfig) -> DictConfig:
        """Return the configuration of ``src.evaluate`` for this combination alone."""
        alone = cfg.copy()
        alone.checkpoint = self.checkpoint
        alone.restored = None if self.restored is None else str(self.restored)
        for key in CONDITIONS:
            alone[key] = self.condition.get(key)
        alone.sets = None if self.images is None else str(self.images)
        return alone

    def __str__(self) -> str:
        return " · ".join(self.varied) or "one evaluation"


def combinations(cfg: DictConfig) -> list[Combination]:
    """Return all combinations of ``checkpoint`` or ``restored``, ``sets`` and ``CONDITIONS``.

    Raises:
        ConfigError: If a list is empty or names one thing twice, or both sets and data are given.
        CheckpointError: If a checkpoint is not there.
        DataError: If a set is not there.
    """
    restored = cfg.restored is not None
    checkpoints = _restored(cfg) if restored else _checkpoints(cfg.checkpoint)
    folders = _folders(cfg)
    conditions = list(_conditions(cfg))
    product = itertools.product(checkpoints.items(), folders, conditions)
    planned = []
    for (name, checkpoint), folder, condition in product:
        varied = [
            *([name] if name is not None and len(checkpoints) > 1 else []),
            *([folder.name] if folder is not None and len(folders) > 1 else []),
            *([_words(condition)] if len(conditions) > 1 else []),
        ]
        images = _restored_of(str(checkpoint), folder, folders) if restored else None
        weights = None if restored else checkpoint
        planned.append(Combination(name, weights, images, folder, condition, tuple(varied)))
    return planned


def output_folder(cfg: DictConfig, planned: Sequence[Combination]) -> Path:
    """Return ``cfg.output``, or a folder named after the present time.

    It is in the run of the one checkpoint, or below ``<output_root>/evaluate``: in
    ``<task>/<model>`` where there is no checkpoint, in ``restored`` where images are judged,
    directly where there are several checkpoints. Each job of a
    sweep has a folder of its own in it, named by its number.
    """
    folder = _folder_of_results(cfg, planned) if cfg.output is None else from_root(cfg.output)
    return own_folder(folder)


def _folder_of_results(cfg: DictConfig, planned: Sequence[Combination]) -> Path:
    stamp = datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
    parent = from_root(str(cfg.paths.output_root)) / "evaluate"
    checkpoint = planned[0].checkpoint
    if cfg.restored is not None:
        return parent / "restored" / stamp
    if len({combination.checkpoint for combination in planned}) > 1:
        return parent / stamp
    if checkpoint is None:
        task, model = TASKS.name_of(cfg.task["_target_"]), BACKBONES.name_of(cfg.model["_target_"])
        return parent / task / model / stamp
    if is_remote(checkpoint):
        return parent / parse(checkpoint).repository / stamp
    run = find(checkpoint).parent
    return (run.parent if run.name == "checkpoints" else run) / "evaluate" / stamp


def _restored(cfg: DictConfig) -> dict[str | None, str | None]:
    """Return name → folder of restored images."""
    given = OmegaConf.to_container(cfg.restored) if OmegaConf.is_config(cfg.restored) else None
    if isinstance(given, dict):
        return {str(name).replace("/", "_"): folder for name, folder in given.items()}
    listed = [cfg.restored] if given is None else given
    refuse_nothing("restored", listed)
    names = [Path(folder).name for folder in listed]
    refuse_twice("restored", names, " Name them: restored={first:…,second:…}.")
    return dict(zip(names, listed, strict=True))


def _restored_of(given: str, folder: Path | None, folders: Sequence[object]) -> Path:
    """Return where the restored images of one set are: in a sub-folder called like it, if any."""
    if folder is None:
        return from_root(given)
    whole = from_root(given)
    inside = sorted(whole.iterdir()) if whole.is_dir() else []
    own = next((path for path in inside if path.name.lower() == folder.name.lower()), None)
    if own is None and len(folders) > 1:
        raise DataError(
            f"restored={given}: of several sets, each has its restored images in a sub-folder "
            f"called like it, and there is no {whole / folder.name}."
        )
    return own or whole


def _checkpoints(given: Any) -> dict[str | None, str | None]:  # noqa: ANN401
    """Return name → checkpoint; the file must be there, what is in it is read later."""
    given = OmegaConf.to_container(given) if OmegaConf.is_config(given) else given
    if given is None:
        return {None: None}
    if isinstance(given, str):
        return {_name(given): given}
    if not given:
        raise ConfigError("checkpoint=[] names none; leave it out, or give one or several.")
    for source in given.values() if isinstance(given, dict) else given:
        find(source)
    if isinstance(given, dict):
        return {str(name).replace("/", "_"): source for name, source in given.items()}
    refuse_twice("checkpoint", given)
    names = [_name(source) for source in given]
    if len(set(names)) < len(names):  # runs of the same second, or files of the same name
        names = ["_".join(Path(source).with_suffix("").parts[-3:]) for source in given]
    refuse_twice("checkpoint", names, " Name them: checkpoint={first:…,second:…}.")
    return dict(zip(names, given, strict=True))


def _name(source: str) -> str:
    """Return how a checkpoint is called: a file's stem, or model and date of a run."""
    path = Path(source)
    if path.suffix in {".ckpt", ".safetensors"}:
        run = path.parent.parent if path.parent.name == "checkpoints" else path.parent
        return f"{run.name}_{path.stem}" if path.suffix == ".ckpt" else path.stem
    return path.name


def _folders(cfg: DictConfig) -> list[Path | None]:
    if cfg.sets is None:
        return [None]
    for text in typed():  # a task chooses data too; what counts is what the user says
        key = key_of(text)
        which = key.startswith("data.") and key.removeprefix("data.") not in READING
        if key == "data" or which:
            raise ConfigError(f"sets={cfg.sets} and {text} both say what is scored; leave one out.")
    return list(folders_of_sets(cfg.sets, cfg.paths.data_dir))


def _conditions(cfg: DictConfig) -> Iterator[dict[str, float | str]]:
    axes = {key: _values(key, cfg[key]) for key in CONDITIONS if cfg[key] is not None}
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _values(key: str, given: Any) -> list[float | str]:  # noqa: ANN401
    values = list(given) if OmegaConf.is_config(given) else [given]
    refuse_nothing(key, values)
    refuse_twice(key, values)
    return values


def _words(condition: Mapping[str, float | str]) -> str:
    return "_".join(f"{key}_{value}" for key, value in condition.items())
