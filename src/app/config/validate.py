"""Refuse a configuration whose parts cannot be built, before data or device are touched."""

import inspect
import os
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from src.app.config.options import Primary, read_primary
from src.app.config.schema import (
    GLOBAL_GROUPS,
    MISSING,
    OPEN,
    UNRESOLVED,
    check_keys,
    check_missing,
    check_values,
    join,
    plain,
    show,
)
from src.app.config.secret_values import check_secrets
from src.app.config.signatures import agrees, describe, parameters_of
from src.core.dotted import locate
from src.core.errors import ConfigError, did_you_mean

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


def validate(cfg: DictConfig, config_name: str = "train") -> None:
    """Check every key and every ``_target_`` node of a composed configuration.

    Args:
        cfg: The configuration without Hydra's own node.
        config_name: Its primary config: ``train``, ``evaluate`` or ``predict``.

    Raises:
        ConfigError: Naming the key at fault and the nearest valid name.
    """
    primary = read_primary(config_name)
    config = check_names(cfg, primary)
    check_targets(config, primary)


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
    given = {key: node[key] for key in node if key not in SPECIAL}
    for key, value in given.items():
        _check_argument(join(path, key), value, parameters, dotted)
    if node.get("_partial_") is not True:
        _check_required(given, path, parameters, dotted)


def _check_argument(
    path: str, value: object, parameters: Mapping[str, inspect.Parameter], dotted: str
) -> None:
    key = path.rpartition(".")[2]
    kinds = {parameter.kind for parameter in parameters.values()}
    parameter = parameters.get(key)
    if parameter is None:
        if inspect.Parameter.VAR_KEYWORD in kinds:
            return
        hint = did_you_mean(key, [*parameters, *(SPECIAL if key.startswith("_") else ())])
        raise ConfigError(f"{path}: {dotted} takes no {key!r}. {hint}")
    unknown = value in (MISSING, UNRESOLVED) or isinstance(value, Mapping)
    if unknown or _same(value, parameter.default) or agrees(value, parameter.annotation):
        return
    raise ConfigError(
        f"{path}={show(value)} is not possible: {dotted} takes {describe(parameter.annotation)}."
    )


def _same(value: object, default: object) -> bool:
    return type(value) is type(default) and value == default


def _check_required(
    given: Mapping[str, Any], path: str, parameters: Mapping[str, inspect.Parameter], dotted: str
) -> None:
    positional = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    for name, parameter in parameters.items():
        required = parameter.default is inspect.Parameter.empty and parameter.kind not in positional
        if required and name not in given and name not in SUPPLIED.get(path, ()):
            raise ConfigError(
                f"{join(path, name)} is not given, and {dotted} needs it: add +{join(path, name)}=…"
            )
