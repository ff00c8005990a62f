"""Folders of options of one's own: one absolute `hydra.searchpath`, kept with the run."""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from src.core.errors import ConfigError
from src.core.files import write_json
from src.core.paths import from_root, user_cache, with_home
from src.core.redact import without_passwords

KEY = "hydra.searchpath"
_FILE = "file://"
_REMEMBERED = "search_path.json"
WRITTEN = ("dirpath", "save_dir", "path", "default_root_dir")
"""Arguments that are folders or files to be written."""
_FOLDERS = ("data.cache_dir", "paths.cache_dir", ".store")
_USUAL = (".cache/images", "outputs/mlflow")
"""Where conf/ has decoded images and the store of MLflow."""

_typed: set[str] = set()
"""The addresses given to this process: there may be no cache that can be written."""


def is_search_path(override: str) -> bool:
    """Say whether ``override`` is ``hydra.searchpath=…``."""
    return override.lstrip("+").partition("=")[0] == KEY


def folders_of(overrides: Iterable[str]) -> list[str]:
    """Return the entries of the first ``hydra.searchpath=…``, which is the one that Hydra takes.

    Folders are absolute and without ``file://``; what is in a package stays ``pkg://…``.
    """
    for text in filter(is_search_path, overrides):
        try:
            value = OverridesParser.create().parse_override(text).value()
        except HydraException:  # explained where the whole command line is checked
            return []
        return [_absolute(str(entry)) for entry in value] if isinstance(value, list) else []
    return []


def with_folders(overrides: Sequence[str], folders: Sequence[str]) -> list[str]:
    """Return ``overrides`` with ``folders`` as the one search path; none for no folder."""
    others = [text for text in overrides if not is_search_path(text)]
    named = [entry if "://" in entry else f"{_FILE}{entry}" for entry in folders]
    return [f"{KEY}={json.dumps(named, ensure_ascii=False)}", *others] if named else others


def with_config_dir(overrides: Sequence[str], config_dir: str | None) -> list[str]:
    """Return ``overrides`` with the folder of ``--config-dir`` first in the search path.

    Relative folders become absolute, so that the command means the same wherever it goes on. All
    of them are noted in the user's cache: a run folder may name them when it goes on.
    """
    first = [] if config_dir is None else [_absolute(config_dir)]
    folders = list(dict.fromkeys([*first, *folders_of(overrides)]))
    remember(folders)
    return with_folders(overrides, folders)


def is_remembered(word: str) -> bool:
    """Say whether a saved search path names only folders that this user has typed before."""
    folders = folders_of([word])
    return [word] == with_folders([], folders) and {*folders} <= {*_remembered()}


def remember(folders: Sequence[str]) -> None:
    """Note folders of options that this user has given, or that were copied from such."""
    known = _remembered()
    if not {*folders} <= {*known}:
        there = [entry for entry in known if "://" in entry or Path(entry).is_dir()]
        with suppress(OSError):  # no cache of one's own: the next start says what to type again
            write_json(user_cache() / _REMEMBERED, list(dict.fromkeys([*there, *folders])))


def _remembered() -> list[str]:
    try:
        return list(map(str, json.loads((user_cache() / _REMEMBERED).read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError):
        return []


def remember_addresses(config: Iterable[tuple[str, object]]) -> None:
    """Note the servers and folders that were given, e.g. as ``logger.mlflow.tracking_uri``.

    Args:
        config: Keys and values as typed, or those of a whole run that begins here.
    """
    usual = {f"{_FILE}{from_root(path)}" for path in _USUAL}
    given = [address_of(key, value) for key, value in config]
    addresses = [address for address in given if address is not None and address not in usual]
    if addresses:
        _typed.update(addresses)
        remember(addresses)


def address_of(key: str, value: object) -> str | None:
    """Return what is noted of a value with which a training speaks to a server or writes there.

    Returns:
        A URL, without its password; None for a value that is something else.
    """
    if value is None or not key.endswith((".tracking_uri", ".storage", *_FOLDERS)):
        return None
    folder = key.endswith(_FOLDERS)
    return f"{_FILE}{from_root(str(value))}" if folder else without_passwords(str(value))


def is_known(address: str) -> bool:
    """Say whether this user has given an address before, or conf/ has it."""
    return address in {*_typed, *_remembered(), *(f"{_FILE}{from_root(path)}" for path in _USUAL)}


def check_folders(overrides: Sequence[str]) -> None:
    """Refuse a search path with a folder that is not there.

    Raises:
        ConfigError: Naming it.
    """
    for entry in folders_of(overrides):
        if "://" not in entry and not Path(entry).is_dir():
            raise ConfigError(
                f"{KEY}: there is no folder {entry}. Put it back, or say where the options are "
                f"now: '{KEY}=[file:///…]'. A run that goes on remembers its own."
            )


def _absolute(entry: str) -> str:
    path = entry.removeprefix(_FILE)
    return entry if "://" in path else str(with_home(path).absolute())
