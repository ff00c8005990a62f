"""What may stand at the root of a configuration, judged without importing anything it names."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import (
    InterpolationResolutionError,
    InterpolationToMissingValueError,
    MissingMandatoryValue,
)

from src.app.config.options import Primary, options_of
from src.app.config.signatures import agrees, describe
from src.core.errors import ConfigError, did_you_mean
from src.core.paths import CONF_DIR

MISSING = "???"
UNRESOLVED = object()
"""Stands for a value that only the checkpoint's own configuration can give."""

OPEN = ("callbacks", "logger", "metrics", "data.benchmarks", "dataset")
"""Mappings of named nodes, which may hold any number of entries."""

GLOBAL_GROUPS = ("experiment", "local", "debug", "hparams_search")
"""Groups whose files write at the root and make no node of their own."""

TYPES: dict[str, Any] = {
    "on_error": Literal["raise", "skip"],
    "existing": Literal["skip", "overwrite", "refuse"],
    "inference.tile": int | Literal["auto", "as_trained"] | None,
    "inference.tiling": Literal["feathered", "paper", "as_trained"],
    "inference.paper_pixels": int | Literal["as_trained"],
    "inference.paper_rule": Literal["panet", "csnln", "as_trained"],
    "limits.members": int | None,
    "limits.total_gb": float | None,
    "limits.image_gb": float | None,
    "limits.ratio": float | None,
    "checkpoint": str | Sequence[str] | Mapping[str, str] | None,
    "attention": str | None,
    "sets": str | Sequence[str] | None,
    "selfcheck": bool | Literal["all"],
    "sigma": float | Sequence[float] | None,
    "quality": int | Sequence[int] | None,
    "scale": int | Sequence[int] | None,
    "papers": str | Sequence[str] | None,
    "compare": Sequence[str] | None,
    "better": Mapping[str, Literal["min", "max"]] | None,
    "monitor_mode": Literal["min", "max"] | None,
    "size": Literal["any"] | Sequence[int],
    "check": Sequence[Sequence[int]],
    "results": str | Sequence[str] | Mapping[str, str] | None,
}
"""Root values that take more or less than their default's type."""

EXAMPLES = {
    "checkpoint": "outputs/denoise/panet_small/2026-01-31_12-00-00",
    "input": "photos",
    "output": "restored",
}


def plain(node: object, *, partial: bool = False, path: str = "") -> Any:  # noqa: ANN401
    """Return a config as dicts, lists and scalars, with interpolations resolved.

    Args:
        node: The config.
        partial: Whether an interpolation may point at what is not there (see ``UNRESOLVED``).
        path: Where ``node`` is, for messages.

    Raises:
        ConfigError: If an interpolation points at nothing, and ``partial`` is false.
    """
    if isinstance(node, DictConfig):
        return {
            str(key): _child(node, key, partial=partial, path=join(path, str(key))) for key in node
        }
    if isinstance(node, ListConfig):
        return [
            _child(node, index, partial=partial, path=f"{path}[{index}]")
            for index in range(len(node))
        ]
    return node


def _child(node: DictConfig | ListConfig, key: Any, *, partial: bool, path: str) -> Any:  # noqa: ANN401
    try:
        return plain(node[key], partial=partial, path=path)
    except (MissingMandatoryValue, InterpolationToMissingValueError):
        return MISSING if OmegaConf.is_missing(node, key) else UNRESOLVED
    except InterpolationResolutionError as error:
        if partial:
            return UNRESOLVED
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path} cannot be worked out: {reason}.") from error


def join(path: str, key: str) -> str:
    """Return ``path.key``, or ``key`` at the root."""
    return f"{path}.{key}" if path else key


def check_keys(keys: Sequence[str], primary: Primary) -> None:
    """Refuse unknown and absent keys at the root of a configuration.

    Raises:
        ConfigError: Naming the key and the nearest valid one.
    """
    nodes = [group for group in primary.groups if group not in {*GLOBAL_GROUPS, "hydra"}]
    allowed = [*primary.values, *nodes]
    for key in keys:
        if key not in allowed:
            raise ConfigError(f"Nothing reads the key {key!r}. {did_you_mean(key, allowed)}")
    for group in nodes:
        if group not in keys and primary.groups[group] is not None:
            options = " | ".join(options_of(group))
            raise ConfigError(f"{group!r} is not chosen, and it is needed: {group}=<{options}>.")
    for key in primary.values:
        if key not in keys:
            raise ConfigError(f"{key!r} was removed, and it is needed. Leave out ~{key}.")


def check_values(config: Mapping[str, Any], primary: Primary) -> None:
    """Refuse a value at the root whose type is not that of the primary config's default.

    Raises:
        ConfigError: Naming the value and what it may be, or an unknown key below the root.
    """
    for key, default in primary.values.items():
        _check_value(key, config[key], default)
    _check_sections(config)


def _check_sections(config: Mapping[str, Any]) -> None:
    known = {
        "io": {"in_channels", "out_channels", "scale"},
        "paths": set(OmegaConf.load(CONF_DIR / "paths/default.yaml")),
    }
    for section, allowed in known.items():
        held = config.get(section, {})
        for key in held if isinstance(held, Mapping) else ():
            if key not in allowed:
                raise ConfigError(f"Nothing reads {section}.{key}. {did_you_mean(key, allowed)}")


def _check_value(path: str, value: object, default: object) -> None:
    free = default is None and path not in TYPES and not isinstance(value, Mapping)
    if value in (MISSING, UNRESOLVED) or free:
        return
    if isinstance(default, Mapping) and isinstance(value, Mapping):
        for key in value:
            if key not in default:
                raise ConfigError(f"Nothing reads {path}.{key}. {did_you_mean(key, default)}")
            _check_value(join(path, key), value[key], default[key])
        return
    if default == MISSING and path in EXAMPLES and isinstance(value, Mapping | list):
        raise ConfigError(
            f"{path}={show(value)} is several values, and one is needed, "
            f"e.g. {path}={EXAMPLES[path]}."
        )
    kind = TYPES.get(path, type(default))
    if default != MISSING and not agrees(value, kind):
        raise ConfigError(f"{path}={show(value)} is not possible; it must be {describe(kind)}.")


def show(value: object) -> str:
    """Return a value as one would type it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def check_missing(config: Mapping[str, Any]) -> None:
    """Refuse a plain configuration in which a value that must be given is not.

    Raises:
        ConfigError: Naming each missing key, what it means, and an example.
    """
    lost = list(_missing_paths(config))
    scored = config.get("task") is not None or config.get("selfcheck")
    if config.get("checkpoint", "") is None and not scored:
        lost.append("checkpoint")  # evaluate: or a task and a model that needs no weights
    if lost:
        lines = [f"  {path}=…   {_meaning(path)}".rstrip() for path in lost]
        example = " ".join(f"{path}={EXAMPLES.get(path, '<value>')}" for path in lost)
        raise ConfigError(
            "Not given, and needed:\n" + "\n".join([*lines, f"For example: {example}"])
        )


def _missing_paths(node: object, path: str = "") -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _missing_paths(value, join(path, str(key)))
    elif node == MISSING:
        yield path


def _meaning(path: str) -> str:
    """Return the comment beside ``key: ???`` or null in conf/, which says what the key means."""
    key = path.rpartition(".")[2]
    pattern = re.compile(rf"^\s*{key}:\s*(?:\?\?\?|null)\s*#\s*(.+)$", re.MULTILINE)
    for file in sorted(CONF_DIR.rglob("*.yaml")):
        match = pattern.search(file.read_text(encoding="utf-8"))
        if match:
            return match[1]
    return ""
