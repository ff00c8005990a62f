"""Refuse a configuration whose parts cannot be built, before data or device are touched."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from src.app.config.options import GLOBAL_GROUPS, MISSING, OPEN, UNRESOLVED, Primary, join
from src.core.errors import ConfigError, did_you_mean
from src.core.registry import locate

SPECIAL = ("_target_", "_partial_", "_convert_", "_recursive_", "_args_")

SUPPLIED = {
    "task": ("net", "degradation", "loss", "evaluator", "restorer", "optimizer", "scheduler",
             "seed")
}  # fmt: skip
"""Arguments that src/app/build.py gives, by the node that it gives them to."""

_SCALARS: dict[Any, Any] = {bool: bool, str: str, int: int, float: int | float, NoneType: NoneType}
"""What YAML has for an annotation."""

_SEVERAL = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def parameters_of(target: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters of a class or function by name, annotations resolved.

    Annotations that cannot be resolved stay as written, and then accept any value.
    """
    parameters = dict(inspect.signature(target).parameters)
    function = target.__init__ if inspect.isclass(target) else target
    try:
        hints = get_type_hints(function)
    except (NameError, TypeError):  # a name that is imported for type checkers only
        hints = {}
    return {
        name: parameter.replace(annotation=hints.get(name, parameter.annotation))
        for name, parameter in parameters.items()
    }


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
    given = {*node, *SUPPLIED.get(path, ())}
    for name, parameter in parameters.items() if node.get("_partial_") is not True else ():
        required = parameter.default is parameter.empty and parameter.kind not in _SEVERAL
        if required and name not in given:
            key = join(path, name)
            raise ConfigError(f"{key} is not given, and {dotted} needs it: add +{key}=…")


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


def show(value: object) -> str:
    """Return a value as one would type it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def agrees(value: object, annotation: Any) -> bool:  # noqa: ANN401
    """Say whether a plain YAML value may be given where ``annotation`` is asked for.

    A whole number is a float; a truth value is no number; what is not about scalars and lists of
    them is not judged, except that a scalar is never an object.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, UnionType}:
        return any(agrees(value, choice) for choice in arguments)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in arguments)
    kind = NoneType if annotation is None else origin or annotation
    if not inspect.isclass(kind) or kind in {Any, object, inspect.Parameter.empty}:
        return True
    if kind in _SCALARS:
        return isinstance(value, _SCALARS[kind]) and (kind is bool or not isinstance(value, bool))
    return _fits(value, kind, arguments)


def _fits(value: object, kind: type, arguments: tuple[Any, ...]) -> bool:
    if kind.__module__ not in {"builtins", "collections.abc"}:
        return isinstance(value, str if issubclass(kind, Path) else kind | Mapping | list)
    if issubclass(kind, Mapping):
        return isinstance(value, Mapping)
    if not issubclass(kind, Iterable):  # Callable and its like
        return True
    if not isinstance(value, list | tuple):
        return False
    if kind is tuple and arguments and Ellipsis not in arguments:
        return len(value) == len(arguments) and all(map(agrees, value, arguments))
    return not arguments or all(agrees(item, arguments[0]) for item in value)


def describe(annotation: Any) -> str:  # noqa: ANN401
    """Return an annotation in words, e.g. ``int | None`` or ``raise | skip``."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, UnionType}:
        return " | ".join(describe(choice) for choice in arguments)
    if origin is Literal:
        return " | ".join(str(choice) for choice in arguments)
    if annotation in {None, NoneType}:
        return "null"
    if origin is not None:
        inner = ", ".join("…" if choice is Ellipsis else describe(choice) for choice in arguments)
        return f"{getattr(origin, '__name__', origin)}[{inner}]"
    return getattr(annotation, "__name__", str(annotation))
