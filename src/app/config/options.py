"""What the files of conf/ offer: groups, their options, and the first comment line of each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from src.core.paths import CONF_DIR

INTERNAL = ("hydra", "local", "paths")
"""Groups that are no choice between components."""

NESTED = {"model": "attention", "data": "transform"}
"""Group to the group inside it."""

_NESTED_DEFAULTS = {"model/attention": "by model", "data/transform": "none"}


@dataclass(frozen=True)
class Primary:
    """A primary config, as written: what may stand at the root of a configuration.

    Attributes:
        values: The keys beside the defaults list, with their default values.
        groups: Config group to its default option; None where nothing is chosen.
        laid_over_checkpoint: Whether what is left out is as in a checkpoint's own configuration.
    """

    values: dict[str, Any]
    groups: dict[str, str | None]
    laid_over_checkpoint: bool


def read_primary(config_name: str, conf_dir: Path = CONF_DIR) -> Primary:
    """Read ``<conf_dir>/<config_name>.yaml`` without composing it."""
    loaded = OmegaConf.to_container(OmegaConf.load(conf_dir / f"{config_name}.yaml"))
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


def all_groups(conf_dir: Path = CONF_DIR) -> list[str]:
    """Return the groups that choose a component or a recipe, sorted."""
    top = [folder.name for folder in conf_dir.iterdir() if folder.is_dir()]
    nested = [f"{group}/{inner}" for group, inner in NESTED.items() if group in top]
    return sorted(name for name in [*top, *nested] if name not in INTERNAL)


def first_comment(file: Path) -> str:
    """Return the first comment line of a YAML file that is not a ``@package`` directive."""
    for line in file.read_text(encoding="utf-8").splitlines():
        text = line.removeprefix("#").strip()
        if line.startswith("#") and text and not text.startswith("@package"):
            return text
    return ""


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
        lines.append(f"  {group:<16} {default:<18} | {', '.join(options_of(group)) or 'none yet'}")
    return "\n".join(lines)


def with_slash(override: str) -> str:
    """Return ``model.attention=pyramid`` as ``model/attention=pyramid``; anything else as it is.

    W&B allows no slash in the name of a sweep's parameter. Nothing is lost: the option of a group
    is no possible value of the key of the same name.
    """
    key, equals, value = override.partition("=")
    group = key.replace(".", "/")
    if not equals or "." not in key or group not in all_groups():
        return override
    options = options_of(group)
    if all(choice in options for choice in value.split(",")):
        return f"{group}={value}"
    return override
