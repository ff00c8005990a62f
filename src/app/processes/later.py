"""Modules that libraries import and commands seldom use: they are imported at their first use.

Lightning imports ``torch._dynamo`` for one class, and each step of an optimizer asks it to do
nothing; torchmetrics imports ``scipy.signal`` to give it one more name, and matplotlib for types in
signatures. That is half of what a training imports (docs/decisions/0073-later-modules.md).
"""

import importlib
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

_ALONE = ("torch._dynamo.config",)
"""Modules that need nothing of their package: fake tensors read this one, to ask what fits."""

_leaving = threading.Lock()


class _Later(ModuleType):
    """Stands for a module of the package ``family`` until more than ``known`` is used."""

    def __init__(self, name: str, family: str, known: dict[str, Any]) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None, is_package=True)  # it can be found, who asks is told
        self.__path__: list[str] = []  # so that its submodules are looked for, see _OfLater
        self.family = family
        self.__dict__.update(known)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        # Who goes through all modules asks for names such as __file__, and does not mean this one.
        if name.startswith("__") and name not in ("__all__", "__version__"):
            raise AttributeError(f"{self.__name__} is imported at its first use: no {name} so far")
        _import_now(self.family)
        return getattr(importlib.import_module(self.__name__), name)


class _OfLater(MetaPathFinder):
    """Imports the package first where a submodule of a stand-in is asked for."""

    def find_spec(
        self, fullname: str, path: Iterable[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec of the submodule that importing its package has imported, if it has."""
        parent = sys.modules.get(fullname.rpartition(".")[0])
        if not isinstance(parent, _Later):
            return None
        if fullname in _ALONE:
            return PathFinder.find_spec(
                fullname, [f"{folder}/_dynamo" for folder in sys.modules["torch"].__path__]
            )
        _import_now(parent.family)
        module = importlib.import_module(fullname)
        return ModuleSpec(fullname, _Imported(module))


class _Imported(Loader):
    """Gives the import system a module that is there already, as it is."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module."""
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """Leave it alone, but for its spec, which the import system has replaced."""
        module.__spec__ = self._spec


def _import_now(family: str) -> None:
    """Put the package itself in the place of its stand-ins."""
    with _leaving:  # not while it is imported: the import system has locks of its own
        for name, module in list(sys.modules.items()):
            if isinstance(module, _Later) and module.family == family:
                del sys.modules[name]
    importlib.import_module(family)


class _IsCompiled(type):
    def __instancecheck__(cls, instance: object) -> bool:
        # Absent while the package is being imported.
        real = getattr(sys.modules.get("torch._dynamo"), "OptimizedModule", cls)
        return real is not cls and isinstance(instance, real)


class OptimizedModule(metaclass=_IsCompiled):
    """What ``torch.compile`` returns; nothing is one before ``torch._dynamo`` has been imported."""


def _graph_break(msg: str = "") -> None:
    """Do nothing, as ``torch._dynamo.graph_break`` does where nothing is compiled."""


def _disable(fn: Any, recursive: bool = True, **_: object) -> Any:  # noqa: ANN401
    """Return ``fn``: nothing is compiled so far."""
    return fn


@contextmanager
def _style(style: object) -> Iterator[None]:
    with importlib.import_module("matplotlib.pyplot").style.context(style):
        yield


_MATPLOTLIB: dict[str, dict[str, Any]] = {
    "axes": {"Axes": object},
    "colors": {"Colormap": object},
    "pyplot": {"Figure": object, "style": SimpleNamespace(context=_style)},
}


def import_later() -> None:
    """Have ``torch._dynamo``, ``scipy.signal`` and matplotlib imported when they are used.

    What is imported already stays as it is, and what is not installed is not there.
    """
    dynamo = {"OptimizedModule": OptimizedModule, "graph_break": _graph_break, "disable": _disable}
    _stand_in("torch._dynamo", {"": dynamo})
    _stand_in("scipy.signal", {"": {"hamming": None}})
    _stand_in("matplotlib", {"": {}, **_MATPLOTLIB})
    if not any(isinstance(finder, _OfLater) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OfLater())


def _stand_in(family: str, known: dict[str, dict[str, Any]]) -> None:
    """Put stand-ins in place of a package and of its modules, which know the names given."""
    if family in sys.modules or find_spec(family.partition(".")[0]) is None:
        return
    for name, names in known.items():
        full = f"{family}.{name}".rstrip(".")
        sys.modules[full] = _Later(full, family, names)
        if name:
            setattr(sys.modules[family], name, sys.modules[full])
