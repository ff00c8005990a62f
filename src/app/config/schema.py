"""What may stand at the root of a configuration, judged without importing anything it names."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from textwrap import fill
from typing import Any, Literal

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import (
    InterpolationResolutionError,
    InterpolationToMissingValueError,
    MissingMandatoryValue,
)

from src.app.config.options import (
    GLOBAL_GROUPS,
    MISSING,
    UNRESOLVED,
    WHOLE,
    Primary,
    join,
    options_of,
)
from src.app.config.validate import agrees, describe, show
from src.core.errors import ConfigError, did_you_mean
from src.core.paths import CONF_DIR

_SEEDS = 2**32  # NumPy's
_SECRET = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)
_SHORTEST = 8  # shorter secrets would be found by chance

TYPES: dict[str, Any] = {
    "on_error": Literal["raise", "skip"],
    "existing": Literal["skip", "overwrite", "refuse"] | None,
    "inference.tile": int | Literal["auto", "as_trained"] | None,
    "inference.overlap": int | Literal["as_trained"],
    "inference.ensemble": bool | Literal["as_trained"],
    "inference.tiling": Literal["feathered", "paper", "as_trained"],
    "inference.paper_pixels": int | Literal["as_trained"],
    "inference.paper_rule": Literal["panet", "csnln", "as_trained"],
    "inference.window": int | Literal["as_trained"] | None,
    "limits.members": int | None,
    "limits.total_gb": float | None,
    "limits.image_gb": float | None,
    "limits.ratio": float | None,
    "checkpoint": str | Sequence[str] | Mapping[str, str] | None,
    "restored": str | Sequence[str] | Mapping[str, str] | None,
    "input": str | Sequence[str],
    "attention": str | None,
    "point": tuple[int, int] | Sequence[tuple[int, int]] | None,
    "sets": str | Sequence[str] | None,
    "selfcheck": bool | Literal["all"],
    "sigma": float | Sequence[float] | None,
    "quality": int | Sequence[int] | None,
    "scale": int | Sequence[int] | None,
    "phase": str | Sequence[str] | None,
    "papers": str | Sequence[str] | None,
    "compare": Sequence[str] | None,
    "better": Mapping[str, Literal["min", "max"]] | None,
    "val_conditions": Mapping[str, Sequence[float | str]] | None,
    "lr_factors": Mapping[str, float] | None,
    "monitor_mode": Literal["min", "max"] | None,
    "size": Literal["any"] | Sequence[int],
    "judged": str | None,
    "calibration": str | None,
    "max_loss_db": float | None,
    "check": Sequence[Sequence[int]],
    "results": str | Sequence[str] | Mapping[str, str] | None,
}
"""Root values that take more or less than their default's type."""

EXAMPLES = {"checkpoint": "outputs/denoise/panet_small/2026-01-31_12-00-00", "input": "photos"}


def check_names(cfg: DictConfig, primary: Primary) -> dict[str, Any]:
    """Check all that can be checked without importing a target; return the plain configuration.

    Where it is laid over a checkpoint, an interpolation may point at what is not there
    (``UNRESOLVED``).

    Raises:
        ConfigError: Naming the key at fault and the nearest valid name.
    """
    check_keys([str(key) for key in cfg], primary)  # first: what is absent cannot be referred to
    resolved: Any
    try:
        resolved = OmegaConf.to_container(cfg, resolve=True)
    except InterpolationResolutionError:
        resolved = _value_by_value(cfg, partial=primary.laid_over_checkpoint)
    config = dict(resolved)
    check_values(config, primary)
    check_leaves(config, os.environ)
    return config


def _value_by_value(node: Any, path: str = "", *, partial: bool) -> Any:  # noqa: ANN401
    """Resolve each value by itself, so that the key of one that cannot be is known."""
    if not isinstance(node, DictConfig | ListConfig):
        return node
    keys: list[Any] = list(node) if isinstance(node, DictConfig) else list(range(len(node)))
    values = []
    for key in keys:
        below = join(path, str(key)) if isinstance(node, DictConfig) else f"{path}[{key}]"
        try:
            values.append(_value_by_value(node[key], below, partial=partial))
        except (MissingMandatoryValue, InterpolationToMissingValueError):
            values.append(MISSING if OmegaConf.is_missing(node, key) else UNRESOLVED)
        except InterpolationResolutionError as error:
            if not partial:
                reason = str(error).splitlines()[0]
                raise ConfigError(f"{below} cannot be worked out: {reason}.") from error
            values.append(UNRESOLVED)
    return dict(zip(keys, values, strict=True)) if isinstance(node, DictConfig) else values


def leaves(node: object, path: str = "", *, in_lists: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, value) of each value below ``node`` that is no mapping.

    A list is one value, or with ``in_lists`` each of its items is.
    """
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from leaves(value, join(path, str(key)), in_lists=in_lists)
    elif in_lists and isinstance(node, list):
        for index, value in enumerate(node):
            yield from leaves(value, f"{path}[{index}]", in_lists=True)
    else:
        yield path, node


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
        if key == "seed" and not 0 <= config[key] < _SEEDS:
            raise ConfigError(f"seed={config[key]} is not possible; it must be 0 to {_SEEDS - 1}.")
    known = {
        "io": {"in_channels", "out_channels", "scale"},
        "paths": set(OmegaConf.load(CONF_DIR / "paths/default.yaml")),
    }
    for section, allowed in known.items():
        node = config.get(section, {})
        for key in map(str, node if isinstance(node, Mapping) else ()):
            if key not in allowed:
                raise ConfigError(f"Nothing reads {section}.{key}. {did_you_mean(key, allowed)}")


def _check_value(path: str, value: object, default: object) -> None:
    follows = isinstance(default, str) and default.startswith("${")  # another key
    free = (default is None or follows) and path not in TYPES and not isinstance(value, Mapping)
    if value in (MISSING, UNRESOLVED) or free:
        return
    if isinstance(default, Mapping) and isinstance(value, Mapping):
        for key in value:
            if key not in default:
                raise ConfigError(f"Nothing reads {path}.{key}. {did_you_mean(str(key), default)}")
            _check_value(join(path, key), value[key], default[key])
        return
    one = path in EXAMPLES and path not in TYPES
    if default == MISSING and one and isinstance(value, Mapping | list):
        raise ConfigError(
            f"{path}={show(value)} is several values, and one is needed, "
            f"e.g. {path}={EXAMPLES[path]}."
        )
    kind = TYPES.get(path, type(default))
    if default != MISSING and not follows and not agrees(default, kind):
        # a key of that name in another command
        kind = type(default)
    if (default != MISSING or path in TYPES) and not agrees(value, kind):
        usual = f", such as {default}" if kind is str and default not in ("", MISSING) else ""
        raise ConfigError(
            f"{path}={show(value)} is not possible; it must be {describe(kind)}{usual}."
        )


def check_leaves(config: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Refuse a configuration without a value that must be given, or with a secret: runs save it.

    Secret are variables of ``environment`` whose names sound like a key or a password.

    Raises:
        ConfigError: Naming each missing key, what it means, and an example; or the key with the
            value of a secret environment variable and that variable, never the value.
    """
    secrets = {
        name: value
        for name, value in environment.items()
        if _SECRET.search(name) and len(value) >= _SHORTEST
    }
    lost = []
    for path, value in leaves(config, in_lists=True):
        lost += [path] if value == MISSING else []
        for name in (name for name in secrets if isinstance(value, str) and secrets[name] in value):
            raise ConfigError(
                f"{path} holds the value of the environment variable {name}, and a run saves its "
                "configuration in config.yaml and in checkpoints. Leave it out: whoever needs it "
                "reads it from the environment."
            )
    scored = config.get("task") is not None or config.get("selfcheck")
    scored = scored or config.get("restored") is not None
    if config.get("checkpoint", "") is None and not scored:
        lost.append("checkpoint")  # evaluate: or a task and a model that needs no weights
    if lost:
        lines = [_explained(path, config) for path in lost]
        example = " ".join(f"{path}={EXAMPLES.get(path, '<value>')}" for path in lost)
        raise ConfigError("\n".join(["Not given, and needed:", *lines, f"For example: {example}"]))


def _explained(path: str, config: Mapping[str, Any]) -> str:
    """Return what a key means, folded: the whole comment beside ``key: ???`` or null in conf/.

    Where commands share a key, that one's file counts which has all keys at the root of ``config``.
    """
    key = path.rpartition(".")[2]
    beside = rf"^\s*{key}:\s*(?:\?\?\?|null)\s*#(.+(?:\n\s+#.+)*)"
    texts = [file.read_text(encoding="utf-8") for file in sorted(CONF_DIR.rglob("*.yaml"))]
    texts.sort(key=lambda text: sum(f"\n{name}:" not in text for name in config))
    comments = (match[1] for match in (re.search(beside, text, re.M) for text in texts) if match)
    words = re.sub(r"\s*\n\s+#\s*", " ", next(comments, ""))
    lead = f"  {path}=…  "
    return fill(words, 80, initial_indent=lead, subsequent_indent=" " * len(lead), **WHOLE) or lead
