"""Refuse a configuration whose parts cannot be built, before data or device are touched."""

import inspect
import os
import re
from collections.abc import Collection, Mapping
from typing import Any

from omegaconf import DictConfig

from src.app.config.options import Primary
from src.app.config.schema import (
    GLOBAL_GROUPS,
    MISSING,
    OPEN,
    UNRESOLVED,
    check_keys,
    check_missing,
    check_values,
    join,
    leaves,
    plain,
    show,
)
from src.app.config.signatures import agrees, describe, parameters_of
from src.core.errors import ConfigError, did_you_mean
from src.core.registry import locate

SPECIAL = ("_target_", "_partial_", "_convert_", "_recursive_", "_args_")

SUPPLIED: dict[str, tuple[str, ...]] = {
    "task": (
        "net",
        "degradation",
        "loss",
        "evaluator",
        "restorer",
        "optimizer",
        "scheduler",
        "seed",
    ),
}
"""Arguments that src/app/build.py gives, by the node that it gives them to."""

_SEVERAL = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_SECRET = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)
_SHORTEST = 8  # shorter secrets would be found by chance


def check_names(cfg: DictConfig, primary: Primary) -> dict[str, Any]:
    """Check all that can be checked without importing a target; return the plain configuration.

    Raises:
        ConfigError: Naming the key at fault and the nearest valid name.
    """
    check_keys([str(key) for key in cfg], primary)  # first: what is absent cannot be referred to
    config: dict[str, Any] = plain(cfg, partial=primary.laid_over_checkpoint)
    check_values(config, primary)
    check_missing(config)
    check_secrets(config, os.environ)
    return config


def check_secrets(config: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Refuse a configuration that holds the value of a secret environment variable: runs save it.

    Args:
        config: The plain, resolved configuration.
        environment: Names and values; those that sound like a key or a password are secret.

    Raises:
        ConfigError: Naming the key and the variable, never the value.
    """
    secrets = {
        name: value
        for name, value in environment.items()
        if _SECRET.search(name) and len(value) >= _SHORTEST
    }
    for path, text in leaves(config, in_lists=True):
        for name, value in secrets.items():
            if isinstance(text, str) and value in text:
                raise ConfigError(
                    f"{path} holds the value of the environment variable {name}, and a run saves "
                    "its configuration in config.yaml and in checkpoints. Leave it out: whoever "
                    "needs it reads it from the environment."
                )


def check_targets(config: Mapping[str, Any], primary: Primary) -> None:
    """Import every target of a plain configuration and hold its node against its signature.

    Raises:
        ConfigError: Naming the key at fault and the nearest valid name.
    """
    for group in primary.groups:
        if group in {*GLOBAL_GROUPS, "hydra", "paths"} or group not in config:
            continue
        node = config[group]
        if not isinstance(node, Mapping):
            raise ConfigError(f"{group}={show(node)} is not possible; choose {group}=<option>.")
        if group not in OPEN and "_target_" not in node:
            raise ConfigError(f"{group} has no _target_, so there is nothing to build.")
        _walk(node, group)


def _walk(node: object, path: str) -> None:
    if isinstance(node, list):
        for index, item in enumerate(node):
            _walk(item, f"{path}[{index}]")
    if not isinstance(node, Mapping):
        return
    if "_target_" in node:
        _check_node(node, path)
    for key, value in node.items():
        if path in OPEN and not (isinstance(value, Mapping) and "_target_" in value):
            raise ConfigError(
                f"{join(path, key)} is not a node with a _target_, so there is nothing to build. "
                f"{did_you_mean(key, [name for name in node if name != key])}"
            )
        _walk(value, join(path, key))


def _check_node(node: Mapping[str, Any], path: str) -> None:
    dotted = node["_target_"]
    if not isinstance(dotted, str):
        raise ConfigError(f"{path}._target_={show(dotted)} must be a dotted name.")
    try:
        target = locate(dotted)
    except ConfigError as error:
        raise ConfigError(f"{path}._target_: {error}") from error
    try:
        parameters = parameters_of(target)
    except ValueError:  # a built-in without a signature: Python will judge
        return
    for key, value in node.items():
        if key not in SPECIAL:
            _check_argument(join(path, key), value, parameters, dotted)
    if node.get("_partial_") is not True:
        _check_required({*node, *SUPPLIED.get(path, ())}, path, parameters, dotted)


def _check_argument(
    path: str, value: object, parameters: Mapping[str, inspect.Parameter], dotted: str
) -> None:
    key = path.rpartition(".")[2]
    parameter = parameters.get(key)
    if parameter is None:
        if any(other.kind is other.VAR_KEYWORD for other in parameters.values()):
            return
        hint = did_you_mean(key, [*parameters, *(SPECIAL if key.startswith("_") else ())])
        raise ConfigError(f"{path}: {dotted} takes no {key!r}. {hint}")
    default, kind = parameter.default, parameter.annotation
    is_default = type(value) is type(default) and value == default
    unknown = value in (MISSING, UNRESOLVED) or isinstance(value, Mapping)
    if not (unknown or is_default or agrees(value, kind)):
        raise ConfigError(f"{path}={show(value)} is not possible: {dotted} takes {describe(kind)}.")


def _check_required(
    given: Collection[str], path: str, parameters: Mapping[str, inspect.Parameter], dotted: str
) -> None:
    for name, parameter in parameters.items():
        required = parameter.default is parameter.empty and parameter.kind not in _SEVERAL
        if required and name not in given:
            key = join(path, name)
            raise ConfigError(f"{key} is not given, and {dotted} needs it: add +{key}=…")
