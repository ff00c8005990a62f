"""Folders of options of one's own: one absolute `hydra.searchpath`, kept with the run."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from src.app.config.resume import saved_overrides
from src.core.errors import ConfigError
from src.core.paths import from_root

KEY = "hydra.searchpath"
_FILE = "file://"


def is_search_path(override: str) -> bool:
    """Say whether ``override`` is ``hydra.searchpath=…``."""
    return override.lstrip("+").partition("=")[0] == KEY


def folders_of(overrides: Sequence[str]) -> list[str]:
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

    Relative folders become absolute, so that the command means the same wherever it goes on.
    """
    if config_dir is None and not any(map(is_search_path, overrides)):
        return list(overrides)
    first = [] if config_dir is None else [_absolute(config_dir)]
    return with_folders(overrides, list(dict.fromkeys([*first, *folders_of(overrides)])))


def with_that_of_checkpoint(overrides: Sequence[str]) -> list[str]:
    """Return ``overrides`` with the search path of the runs in ``checkpoint=…`` at its end.

    A folder that is gone is left out: a checkpoint needs none of them itself.
    """
    found = folders_of(overrides)
    for source in _checkpoints(overrides):
        path = from_root(source)
        run = path.parent.parent if path.parent.name == "checkpoints" else path
        if run.is_dir():
            kept = folders_of(saved_overrides(run))
            found += [entry for entry in kept if "://" in entry or Path(entry).is_dir()]
    return with_folders(overrides, list(dict.fromkeys(found)))


def _checkpoints(overrides: Sequence[str]) -> list[str]:
    for text in overrides:
        if text.partition("=")[0] == "checkpoint":
            try:
                value = OverridesParser.create().parse_override(text).value()
            except HydraException:  # explained where the whole command line is checked
                return []
            several = value.values() if isinstance(value, dict) else value
            return [str(value)] if isinstance(value, str) else [str(one) for one in _list(several)]
    return []


def _list(values: object) -> list[object]:
    return list(values) if isinstance(values, Iterable) else []


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
    return entry if "://" in path else str(Path(path).expanduser().absolute())
