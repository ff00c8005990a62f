"""Which components a checkpoint may name: it comes from anywhere, and what it names is called."""

import ast
import importlib.util
import os
import site
import sysconfig
from collections.abc import Iterator, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path

from src.core.errors import CheckpointError

COMPONENTS = (
    *("src.training.callbacks.", "src.data.", "src.degradations.", "src.inference.", "src.losses."),
    *("src.metrics.", "src.models.", "src.ops.", "src.optim.", "src.training.tasks."),
    *("src.training.strategy.", "src.commands.prepare.image_set."),
    *(f"src.training.loggers.{name}_run." for name in ("wandb", "mlflow", "tensorboard")),
)
LIBRARIES = ("torch.nn.", "torch.optim.", "torchmetrics.", "lightning.pytorch.")
"""Where our configurations take classes from."""

TRUST = "EXEMPLAR_TRUST"
"""Environment variable: installed packages, separated by commas, that may be named as well."""


def refuse_foreign_targets(path: Path, config: object) -> None:
    """Refuse a checkpoint whose configuration would call what is no component.

    Components are classes and functions that our files define, classes of ``LIBRARIES``, and what
    files of the user's own define. The standard library and other packages are not: a file may not
    say ``os.system``, nor reach it through a module that imports ``os``.

    Args:
        path: The checkpoint, for the message.
        config: Its plain configuration.

    Raises:
        CheckpointError: Naming the target.
    """
    for target in sorted(set(_targets(config))):
        if not _is_component(target):
            package = target.partition(".")[0]
            raise CheckpointError(
                f"{path}: refused, because its configuration would call {target!r}, which is no "
                "component of this version nor of files of your own. If it belongs to a package "
                f"that you installed for this and trust: {TRUST}={package} python -m …"
            )


def _targets(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield str(node["_target_"])
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)


def _is_component(target: str) -> bool:
    package = target.partition(".")[0]
    module, _, name = target.rpartition(".")
    if package in os.environ.get(TRUST, "").split(","):
        return True
    if target.startswith(LIBRARIES):
        return name[:1].isupper() and _spec(module) is not None
    ours = target.startswith(COMPONENTS) if package == "src" else _is_users_own(package)
    return ours and _defines(module, name)


def _defines(module: str, name: str) -> bool:
    """Say whether the file of ``module`` defines ``name``, and does not merely import it."""
    spec = _spec(module)
    if spec is None or spec.origin is None:
        return False
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    kinds = (ast.ClassDef, ast.FunctionDef)
    return any(isinstance(node, kinds) and node.name == name for node in tree.body)


def _is_users_own(package: str) -> bool:
    """Say whether ``package`` lies outside the folders of Python and of what is installed."""
    spec = _spec(package)
    if spec is None:
        return False
    places = [*(spec.submodule_search_locations or []), *filter(None, [spec.origin])]
    return bool(places) and not any(
        place in {"built-in", "frozen"} or Path(place).is_relative_to(folder)
        for place in places
        for folder in _installed()
    )


def _installed() -> set[str]:
    python = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return {*python, *site.getsitepackages(), site.getusersitepackages()}


def _spec(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ModuleNotFoundError, ValueError):
        return None
