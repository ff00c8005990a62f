"""What the files of conf/ offer: groups, their options, and the words that ``${…}`` understands."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import count
from pathlib import Path
from textwrap import fill
from typing import Any

from omegaconf import OmegaConf

from src.core.errors import ConfigError, did_you_mean
from src.core.paths import CONF_DIR, from_root

WHOLE: Any = {"break_on_hyphens": False, "break_long_words": False}
"""Of :func:`textwrap.fill`: no word is broken."""

INTERNAL = ("hydra", "local", "paths")
"""Groups that are no choice between components."""

OPEN = ("callbacks", "logger", "metrics", "data.benchmarks", "dataset")
"""Mappings of named nodes, which may hold any number of entries."""

GLOBAL_GROUPS = ("experiment", "local", "debug", "hparams_search")
"""Groups whose files write at the root and make no node of their own."""

MISSING = "???"
UNRESOLVED = object()
"""Stands for a value that only the checkpoint's own configuration can give."""

AUTO = "auto"
"""The value of ``resume`` that means: the run in this job's own folder, if there is one."""

NESTED = {"model": "attention", "data": "transform"}
"""Group to the group inside it."""

_NESTED_DEFAULTS = {"model/attention": "by model", "data/transform": "none"}


@dataclass(frozen=True)
class Primary:
    """A primary config, as written: what may stand at the root of a configuration."""

    values: dict[str, Any]  # the keys beside the defaults list, with their default values
    # Config group to its default option; None where nothing is chosen.
    groups: dict[str, str | None]
    laid_over_checkpoint: bool  # whether what is left out is as in a checkpoint's own configuration


@cache  # each saved word of a run folder asks for it
def read_primary(config_name: str, conf_dir: Path = CONF_DIR) -> Primary:
    """Read ``<conf_dir>/<config_name>.yaml`` uncomposed, or ConfigError; change nothing in it."""
    file = conf_dir / f"{config_name}.yaml"
    if not file.is_file():
        names = sorted(path.stem for path in conf_dir.glob("*.yaml"))
        raise ConfigError(
            f"There is no {file.name} in {conf_dir}. {did_you_mean(config_name, names)}"
        )
    loaded = OmegaConf.to_container(OmegaConf.load(file))
    if not isinstance(loaded, dict):
        raise TypeError(f"{config_name}.yaml is not a mapping")
    groups: dict[str, str | None] = {}
    for entry in loaded.pop("defaults", []):
        if isinstance(entry, dict):
            for group, option in entry.items():
                if not str(group).startswith("override "):
                    groups[str(group).removeprefix("optional ")] = option
    values = {str(key): value for key, value in loaded.items()}
    return Primary(values, groups, laid_over_checkpoint="checkpoint" in values)


def key_of(word: str) -> str:
    """Return the key of a word as typed: ``key=value``, ``+key=value`` or ``~key``."""
    return word.lstrip("+~").partition("=")[0]


def join(path: str, key: str) -> str:
    """Return ``path.key``, or ``key`` at the root."""
    return f"{path}.{key}" if path else key


def options_of(group: str, conf_dir: Path = CONF_DIR) -> list[str]:
    """Return the options of ``group``, e.g. ``model/attention``, those in sub-folders included.

    Files whose name starts with ``_`` are parts of others and not options.
    """
    folder = conf_dir / group
    nested_groups = {folder / NESTED[group]} if group in NESTED else set()
    return sorted(
        file.relative_to(folder).with_suffix("").as_posix()
        for file in folder.rglob("*.yaml")
        if not file.name.startswith("_") and not nested_groups & set(file.parents)
    )


def all_groups() -> list[str]:
    """Return the groups that choose a component or a recipe, sorted."""
    top = [folder.name for folder in CONF_DIR.iterdir() if folder.is_dir()]
    nested = [f"{group}/{inner}" for group, inner in NESTED.items() if group in top]
    return sorted(name for name in [*top, *nested] if name not in INTERNAL)


@cache
def describe_groups(config_name: str) -> str:
    """Return one line a group of a primary config: default option, then all options."""
    primary = read_primary(config_name)
    groups = [group for group in primary.groups if group not in INTERNAL]
    for group, inner in NESTED.items():
        if group in groups:
            groups.insert(groups.index(group) + 1, f"{group}/{inner}")
    lines = []
    for group in groups:
        default = primary.groups.get(group) or _NESTED_DEFAULTS.get(group, "null")
        head = f"  {group:<16} {default:<19} "
        options = ", ".join(options_of(group)) or "none yet"
        below = " " * len(head)
        lines.append(fill(options, 80, initial_indent=head, subsequent_indent=below, **WHOLE))
    return "\n".join(lines)


def register_resolvers(*, claim: bool = True) -> None:
    """Make the words of our own that conf/ uses in ``${…}`` known to OmegaConf.

    Args:
        claim: Whether something is run: a new folder is then made at once, so that two processes
            that start in the same second get two folders, and nobody reads the help.
    """

    def run_dir(resume: str | None, output_root: str, task: str, model: str) -> str:
        if resume == AUTO:  # a folder with the time in its name is new at each start
            raise ConfigError(
                "resume=auto goes on with the run in its own folder, which must be the same at "
                "each start: add hydra.run.dir=outputs/<a name>."
            )
        if resume is not None:
            return str(from_root(resume))
        return str(new_folder(from_root(output_root) / task / model, claim=claim))

    def multirun_dir(output_root: str) -> str:
        return str(new_folder(from_root(output_root) / "multirun", claim=claim))

    def with_noise_map(channels: int, image_channels: int, sigma: object) -> int:
        return channels if sigma is None else image_channels + 1  # of a degradation without noise

    # Cached, because Hydra resolves the folder once a job and every job must get the same answer.
    OmegaConf.register_new_resolver("run_dir", run_dir, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("multirun_dir", multirun_dir, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("plus", lambda one, other: one + other, replace=True)
    OmegaConf.register_new_resolver("times", lambda one, other: one * other, replace=True)
    OmegaConf.register_new_resolver("with_noise_map", with_noise_map, replace=True)
    OmegaConf.register_new_resolver(
        "config_groups", str if claim else describe_groups, replace=True
    )


def new_folder(parent: Path, *, claim: bool = True) -> Path:
    """Return ``parent/<date>_<time>``, with ``_2``, ``_3`` … appended while that name is taken."""
    stem = datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
    names = (stem if number == 1 else f"{stem}_{number}" for number in count(1))
    if not claim:
        return next(parent / name for name in names if not (parent / name).exists())
    while True:
        folder = parent / next(names)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
