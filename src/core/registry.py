"""Components by name: registered under the stem of their file, or by dotted name as in YAML."""

import importlib
import pkgutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Generic, TypeVar

from src.core.errors import ConfigError, did_you_mean

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One registered component."""

    cls: type[T]  # the class
    paper: str  # where it comes from, e.g. "Mei et al., 2020, arXiv:2004.13824"
    cost: str = ""  # its cost in the number of pixels n, e.g. "O(n²)"


@dataclass
class Registry(Generic[T]):
    """Maps a component's name to its class, importing ``package`` on first use.

    Objects are built from YAML ``_target_``; the registry is what is listed, tested and suggested.
    """

    kind: str
    package: str
    _entries: dict[str, Entry[T]] = field(default_factory=dict, init=False)
    _discovered: bool = field(default=False, init=False)

    def register(
        self, *, paper: str, cost: str = "", name: str | None = None
    ) -> Callable[[type[T]], type[T]]:
        """Return a decorator that adds a class under ``name``, else that of its module.

        Raises:
            ValueError: If another class of that name is registered already.
        """

        def add(cls: type[T]) -> type[T]:
            stem = name or cls.__module__.rpartition(".")[2]
            entry = self._entries.setdefault(stem, Entry(cls, paper, cost))
            if entry.cls is not cls:
                raise ValueError(f"{self.kind} {stem!r} is already {entry.cls!r}; one per name.")
            return cls

        return add

    def name_of(self, dotted: str) -> str:
        """Return the name of the component ``dotted``, e.g. a ``_target_``.

        What is not registered is called as its module is.
        """
        with suppress(ImportError):
            importlib.import_module(dotted.rpartition(".")[0])  # where it is, it is registered
        for name, entry in self._entries.items():
            if dotted == f"{entry.cls.__module__}.{entry.cls.__qualname__}":
                return name
        return dotted.split(".")[-2]

    def __getitem__(self, name: str) -> Entry[T]:
        """Return the entry called ``name``; ConfigError names the nearest choices."""
        self._discover()
        if name not in self._entries:
            raise ConfigError(
                f"No {self.kind} is called {name!r}. {did_you_mean(name, self._entries)}\n"
                f"  To list all:  python -m src.catalog\n"
                f"  To add one:   docs/how-to/extend.md"
            )
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        """Yield all names, sorted."""
        self._discover()
        return iter(sorted(self._entries))

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._entries

    def __len__(self) -> int:
        self._discover()
        return len(self._entries)

    def _discover(self) -> None:
        if not self._discovered:
            path = importlib.import_module(self.package).__path__
            for info in pkgutil.iter_modules(path, prefix=f"{self.package}."):
                importlib.import_module(info.name)
            self._discovered = True


def locate(dotted: str) -> Callable[..., Any]:
    """Import what ``dotted`` names, e.g. ``torch.optim.Adam``.

    Raises:
        ConfigError: If there is no such thing, with the nearest names; or if importing it needs a
            package that is not installed, or fails.
    """
    parts = dotted.split(".")
    found: Any = None
    depth = 0
    for depth in range(1, len(parts) + 1):
        module = _import_module(".".join(parts[:depth]), wanted=dotted)
        if module is None:
            depth -= 1  # noqa: PLW2901
            break
        found = module
    if found is None:
        raise ConfigError(
            f"{dotted}: there is no package {parts[0]!r}. Install it, or name the folder "
            "that holds it: PYTHONPATH=<folder>"
        )
    for position in range(depth, len(parts)):
        holder = ".".join(parts[:position])
        if not hasattr(found, parts[position]):
            hint = did_you_mean(parts[position], _public_names(found))
            raise ConfigError(f"{dotted}: {holder} has no {parts[position]!r}. {hint}")
        found = getattr(found, parts[position])
    if not callable(found):
        raise ConfigError(f"{dotted} is a {type(found).__name__}; a class or function is needed.")
    named: Callable[..., Any] = found
    return named


def _import_module(name: str, wanted: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return None
        raise ConfigError(
            f"{wanted} needs the package {error.name!r}, which is not installed.\n"
            f"  Install it, or choose another option."
        ) from error
    except Exception as error:
        if name.partition(".")[0] == __name__.partition(".")[0]:
            raise
        at = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigError(
            f"{wanted}: {name} cannot be imported: {type(error).__name__}: {error} "
            f"({at.filename}, line {at.lineno})"
        ) from error


def _public_names(holder: object) -> list[str]:
    names = [name for name in dir(holder) if not name.startswith("_")]
    if isinstance(holder, ModuleType) and hasattr(holder, "__path__"):
        names += [info.name for info in pkgutil.iter_modules(holder.__path__)]
    return names
