"""What a dotted name in YAML points at, which arguments it takes, and of what type."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


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
    if annotation in {None, NoneType}:
        return value is None
    kind = origin or annotation
    if not inspect.isclass(kind) or kind in {Any, object, inspect.Parameter.empty}:
        return True
    return _fits_class(value, kind, arguments)


def _fits_class(value: object, kind: type, arguments: tuple[Any, ...]) -> bool:
    if kind in {bool, str, int, float}:
        wider = {int: (int,), float: (int, float)}.get(kind, (kind,))
        return isinstance(value, wider) and (kind is bool or not isinstance(value, bool))
    if issubclass(kind, Path):
        return isinstance(value, str)
    if kind.__module__ in {"builtins", "collections.abc"}:
        return _fits_container(value, kind, arguments)
    return isinstance(value, kind | Mapping | list)


def _fits_container(value: object, kind: type, arguments: tuple[Any, ...]) -> bool:
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
