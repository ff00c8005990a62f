"""What a file from anywhere may say: plain data, and names of components that conf/ offers.

Checkpoints, .safetensors files and run folders carry a configuration, and what it names is called.
They come from anywhere; so nothing in them is resolved, and only what is listed is built.
"""

import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import yaml
from hydra.core.hydra_config import HydraConfig

try:
    from yaml import CSafeLoader as SafeLoader  # a tenth of the time, where PyYAML has it
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

from src.core.errors import ConfigError, UntrustedError
from src.core.paths import CONF_DIR
from src.core.registry import locate
from src.core.renamed import current_name

logger = logging.getLogger(__name__)

TRUST = "EXEMPLAR_TRUST"
"""Environment variable: names that files may call beside the listed ones, separated by commas."""

UNLISTED = {
    "data": {"src.ops.resize.target_size"},  # patch_size of runs before it was a number
    "model": {"src.models.spandrel_net.SpandrelNet"},  # of src.convert architecture=spandrel
    # given by hydra/sweeper=optuna
    "callbacks": {"src.training.callbacks.report_to_study.ReportToStudy"},
}
"""Section → components of ours that no file of conf/ offers, because programs choose them."""

HARMLESS = {
    "optimizer": ("torch.optim", "Adadelta Adagrad Adam AdamW Adamax ASGD NAdam RAdam RMSprop SGD"),
    "scheduler": (
        "torch.optim.lr_scheduler",
        (
            "ConstantLR CosineAnnealingLR CosineAnnealingWarmRestarts CyclicLR ExponentialLR "
            "LinearLR MultiStepLR OneCycleLR PolynomialLR StepLR"
        ),
    ),
    "loss": ("torch.nn", "HuberLoss L1Loss MSELoss SmoothL1Loss"),
    "callbacks": (
        "lightning.pytorch.callbacks",
        (
            "DeviceStatsMonitor EarlyStopping GradientAccumulationScheduler LearningRateMonitor "
            "ModelSummary RichProgressBar Timer TQDMProgressBar"
        ),
    ),
}
"""Section → package and names of its classes that only compute: often typed, and in no file."""

SEVERAL = ("callbacks", "logger", "metrics")
PARTS = ("model", "task", "degradation", "loss", "protocol", "optimizer", "scheduler", "data",
         "trainer", *SEVERAL)  # fmt: skip
"""Sections of a training that are called: one thing each, or several by name."""

_SPECIAL = re.compile(r"_\w+_")
_NAME = re.compile(r"\w+(\.\w+)*")
_LONGEST = 10_000_000  # bytes
_DEEPEST, _LARGEST = 40, 100_000  # of an honest configuration: 8 levels, some hundred values


def read_text(path: Path) -> str:
    """Return the text of a YAML file from anywhere whose reading costs what its length says.

    Raises:
        UntrustedError: If it refers to its own parts, which may be ten of ten of ten …, or is
            longer or deeper than any that training writes.
        OSError, UnicodeDecodeError, yaml.YAMLError: If it cannot be read.
    """
    if path.stat().st_size > _LONGEST:
        Reading(str(path)).refuse("it is longer than any that training writes")
    text, depth = path.read_text(encoding="utf-8"), 0
    for event in yaml.parse(text, Loader=SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            Reading(str(path)).refuse(f"it refers to a part of itself, *{event.anchor}")
        if depth > _DEEPEST:
            Reading(str(path)).refuse("its configuration is larger than any that training writes")
    return text


def check_config(source: str | Path, config: object) -> dict[str, Any]:
    """Return the configuration in a file as new dicts, lists and scalars, fit to be built.

    Raises:
        UntrustedError: Naming the key, if it holds anything but plain data, an interpolation, or
            the name of something to call that is not listed for its section.
    """
    reading = Reading(str(source))
    checked: dict[str, Any] = reading.copy(config, ())
    if not isinstance(checked, dict):
        reading.refuse(f"its configuration is a {type(config).__name__} and no mapping")
    reading.check_targets()
    return checked


def check_saved(source: str | Path, config: object) -> dict[str, Any]:
    """Return a whole configuration as ``check_config`` does, each part of which can be built.

    Raises:
        UntrustedError: As there, and if a part describes nothing that is called.
    """
    checked = check_config(source, config)
    for name in (name for name in PARTS if name in checked):
        node = checked[name]
        several = list(node.values()) if name in SEVERAL and isinstance(node, dict) else [node]
        if not all(isinstance(one, dict) and "_target_" in one for one in several) or (
            name == "model" and node.get("_partial_")
        ):
            Reading(str(source)).refuse(f"{name} describes nothing to build")
    return checked


class Reading:
    """One configuration that is being checked."""

    def __init__(self, source: str) -> None:
        self.source, self.size = source, 0
        self.targets: list[tuple[tuple[str, ...], str]] = []

    def refuse(self, reason: str) -> NoReturn:
        """Raise UntrustedError with the reason."""
        raise UntrustedError(f"{self.source}: refused, because {reason}. Nothing in it was called.")

    def copy(self, node: object, path: tuple[str, ...]) -> Any:  # noqa: ANN401
        """Return ``node`` plain, and note what it would call."""
        self.size += 1
        if len(path) > _DEEPEST or self.size > _LARGEST:
            self.refuse("its configuration is larger than any that training writes")
        if isinstance(node, Mapping):
            return {self._key(key, path): self._value(node, key, path) for key in node}
        if isinstance(node, list | tuple):
            return [self.copy(item, (*path, str(index))) for index, item in enumerate(node)]
        if isinstance(node, str) and "${" in node:
            self.refuse(
                f"{_dotted(path)} holds an interpolation, {node[:80]!r}; a saved configuration is "
                "resolved and has none"
            )
        if node is not None and type(node) not in {str, bool, int, float}:
            self.refuse(f"{_dotted(path)} is a {type(node).__name__} and no plain value")
        return node

    def _key(self, key: object, path: tuple[str, ...]) -> str | int:
        if type(key) is int:
            return key
        if type(key) is not str or "${" in key:
            self.refuse(f"{_dotted(path)} has the key {str(key)[:80]!r}, which is no plain word")
        if _SPECIAL.fullmatch(key) and key not in {"_target_", "_partial_"}:
            self.refuse(f"{_dotted((*path, key))} would change how its node is built")
        return key

    def _value(self, node: Mapping[Any, object], key: object, path: tuple[str, ...]) -> Any:  # noqa: ANN401
        value, where = self.copy(node[key], (*path, str(key))), _dotted((*path, str(key)))
        if key == "_partial_" and not isinstance(value, bool):
            self.refuse(f"{where} is neither true nor false")
        if key == "_target_":
            if not (isinstance(value, str) and _NAME.fullmatch(value)):
                self.refuse(f"{where} is no dotted name")
            value = current_name(value)
            self.targets.append((path, value))
        return value

    def check_targets(self) -> None:
        """Refuse what is neither listed nor trusted; say what is trusted."""
        strange = [(path, name) for path, name in self.targets if not _listed(path, name)]
        words = [word for word in os.environ.get(TRUST, "").split(",") if word]
        unknown = [
            (path, name)
            for path, name in strange
            if not any(f"{name}.".startswith(f"{word}.") for word in words)
        ]
        if unknown:
            self.refuse(_would_call(unknown))
        for _, name in strange:
            _check_trusted(self.source, name)
        if strange:
            _say_trusted(self.source, ", ".join(sorted({name for _, name in strange})))


def _would_call(unknown: Sequence[tuple[tuple[str, ...], str]]) -> str:
    calls = ", ".join(f"{name!r} ({_dotted(path)})" for path, name in unknown)
    reason = f"its configuration would call {calls}, which no file of conf/ offers there"
    names = sorted({name for _, name in unknown})
    if any(_runs_anything(name) for name in names):
        return f"{reason}: a way to run any program"
    return (
        f"{reason}. If you know who made this file and what these names do, type the command "
        f"again as  {TRUST}={','.join(names)} python -m …  or, for parts of your own, with the "
        "hydra.searchpath that offers them"
    )


def _runs_anything(name: str) -> bool:
    """Say whether ``name`` is of Python's own library or of what builds objects from names."""
    package = name.partition(".")[0]
    return package in sys.stdlib_module_names or package in {"hydra", "omegaconf", "tests"}


def _check_trusted(source: str, name: str) -> None:
    """Refuse a trusted name that is not there, or is another name for something else."""
    if _runs_anything(name):
        raise UntrustedError(f"{source}: refused; {TRUST} cannot allow {name!r}.")
    try:
        component = locate(name)
    except ConfigError as error:
        raise UntrustedError(
            f"{source} calls {name!r}, which is allowed but cannot be imported: {error}\n"
            "  If it is a file of yours:  PYTHONPATH=<its folder> …"
        ) from error
    home = str(getattr(component, "__module__", ""))
    if home.partition(".")[0] != name.partition(".")[0]:
        raise UntrustedError(
            f"{source}: refused, because {name!r} is another name for something of {home!r}."
        )


@lru_cache
def _say_trusted(source: str, names: str) -> None:
    """Say it once, however often the file is opened."""
    logger.warning("Trusted, as you asked: %s calls %s.", source, names)


def _listed(path: tuple[str, ...], name: str) -> bool:
    section = path[0] if path else ""
    if name in offered(CONF_DIR).get(section, set()) | UNLISTED.get(section, set()):
        return True
    package, names = HARMLESS.get(section, ("", ""))
    if name in {f"{package}.{each}" for each in names.split()}:
        return True
    # What a folder offers that was named on the command line may be anything importable.
    return any(name in offered(folder).get(section, set()) for folder in _own_folders())


def _own_folders() -> Iterator[Path]:
    """Yield the configuration folders that the command line names, beside conf/."""
    if not HydraConfig.initialized():
        return
    for source in HydraConfig.get().runtime.config_sources or ():
        folder = Path(urlsplit(str(source.path)).path)
        if source.schema == "file" and folder != CONF_DIR:
            yield folder


@lru_cache
def offered(folder: Path) -> Mapping[str, set[str]]:
    """Return section → the dotted names that the files of a configuration folder offer in it.

    ``conf/hydra`` is left out: Hydra's own node is not part of what a run saves.
    """
    sections: dict[str, set[str]] = {}
    for file in folder.rglob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        if "_target_" not in text or file.is_relative_to(folder / "hydra"):
            continue
        package = re.search(r"^# *@package +([\w.]+)", text, re.MULTILINE)
        group = file.relative_to(folder).parts[0] if package is None else package[1].split(".")[0]
        try:
            node = yaml.load(text, Loader=SafeLoader)
        except yaml.YAMLError:  # of a folder of the user's; Hydra says so where it is chosen
            continue
        if not isinstance(node, Mapping):
            continue
        for section, below in node.items() if group == "_global_" else [(group, node)]:
            sections.setdefault(section, set()).update(_targets(below))
    return sections


def _targets(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield str(node["_target_"])
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)


def _dotted(path: tuple[str, ...]) -> str:
    dotted = ""
    for name in path:
        dotted = f"{dotted}[{name}]" if name.isdigit() else f"{dotted}.{name}".lstrip(".")
    return dotted or "its root"
