"""What a user types, as Hydra takes it: absolute paths, groups with a slash, one search path.

Folders of options, and servers and folders that runs share, are noted in the user's cache: a run
that goes on may name only those that were typed here before.
"""

import json
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep
from hydra.errors import HydraException

from src.app.config.options import NESTED, key_of, options_of
from src.app.config.schema import leaves
from src.app.config.validate import show
from src.core.errors import ConfigError, UntrustedError
from src.core.files import write_json
from src.core.paths import ROOT, from_root, user_cache, with_home
from src.core.redact import HIDDEN, passwords_in, without_passwords

if TYPE_CHECKING:  # its module imports torch, which takes seconds
    from src.core.types import PlainConfig

FILES = ("input", "output", "restored", "source", "comparison", "experiments", "judged",
         "calibration", "data.train",
         "data.train_dir", "data.val_dir", "data.target_dir", "data.input_dir",
         "data.val_target_dir", "data.val_input_dir", "loss.perceptual_file", "data.cache_dir",
         "paths.output_root", "paths.data_dir", "paths.cache_dir",
         "hydra.run.dir", "hydra.sweep.dir")  # fmt: skip
"""Keys whose values are paths."""

NAMES = ("checkpoint", "resume", "weights", "sets", "results", "compare")
"""Keys whose values may be names, e.g. ``set5`` or ``auto``: paths are what is there or has a /."""

_DOTTED = {f"{group}.{inner}": f"{group}/{inner}" for group, inner in NESTED.items()}

KEY = "hydra.searchpath"
_FILE = "file://"
_REMEMBERED = "search_path.json"
WRITTEN = ("dirpath", "save_dir", "path", "default_root_dir")
"""Arguments that are folders or files to be written."""
_FOLDERS = ("data.cache_dir", "paths.cache_dir", ".store")
ADDRESSES = (".tracking_uri", ".storage", *_FOLDERS)
"""Ends of keys whose values are servers, or folders that runs share."""
_USUAL = frozenset(f"{_FILE}{from_root(path)}" for path in (".cache/images", "outputs/mlflow"))
"""Where conf/ has decoded images and the store of MLflow."""

_typed: set[str] = set()
"""The addresses given to this process: there may be no cache that can be written."""


def as_meant(words: Sequence[str]) -> list[str]:
    """Return ``words`` with the relative paths among them made absolute.

    In the folder where relative paths of configuration files start they are left as they are, so
    that what is written down names no folder of this machine.

    ``model.attention=pyramid`` becomes ``model/attention=pyramid``: W&B allows no slash in the name
    of a sweep's parameter. Nothing is lost, as the option of a group is no possible value of the
    key of the same name.
    """
    slashed = []
    for word in words:
        key, _, value = word.partition("=")
        group = _DOTTED.get(key)
        chooses = group is not None and {*value.split(",")} <= {*options_of(group)}
        slashed.append(f"{group}={value}" if chooses else word)
    return slashed if Path.cwd() == ROOT else [_from_here(word) for word in slashed]


def _from_here(word: str) -> str:
    key = key_of(word)
    if key not in (*FILES, *NAMES):
        return word
    try:
        value = OverridesParser.create().parse_override(word).value()
    except HydraException:
        return word  # said where all words are checked
    several = value.list if isinstance(value, ChoiceSweep) else [value]
    placed = [_placed(one, is_path=key in FILES) for one in several]
    if placed == several:
        return word
    return f"{word.partition('=')[0]}={','.join(map(_as_typed, placed))}"


def _placed(value: Any, *, is_path: bool) -> Any:  # noqa: ANN401
    """Return a parsed value with its relative paths made absolute."""
    if isinstance(value, list):
        return [_placed(one, is_path=is_path) for one in value]
    if isinstance(value, dict):
        return {key: _placed(one, is_path=is_path) for key, one in value.items()}
    if not isinstance(value, str) or re.match(r"-$|/|\$\{|.*://", value):
        return value
    if str(with_home(value)) != value:  # ~/a.png, not ~.png, which is nobody's home
        return value
    here = str(Path.cwd() / value)
    named = not is_path and ("/" not in value or value.startswith("zoo/"))
    return value if named and not os.path.lexists(here) else here


def _as_typed(value: Any) -> str:  # noqa: ANN401
    """Return a parsed value as one would type it."""
    if isinstance(value, list):
        return f"[{','.join(map(_as_typed, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_as_typed(one)}' for key, one in value.items())}}}"
    if isinstance(value, str):
        # as Hydra has it: of backslashes only those before a quote, or at the end, are escapes
        doubled = re.sub(r'(\\*)("|$)', lambda found: found[1] * 2 + found[2], value)
        return '"' + doubled.replace('"', '\\"') + '"'
    return show(value)


def is_search_path(override: str) -> bool:
    """Say whether ``override`` is ``hydra.searchpath=…``."""
    return key_of(override) == KEY


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
    return [word] == with_folders([], folders) and {*folders} <= {*noted(_REMEMBERED)}


def remember(folders: Sequence[str]) -> None:
    """Note folders of options that this user has given, or that were copied from such."""
    known = noted(_REMEMBERED)
    if not {*folders} <= {*known}:
        there = [entry for entry in known if "://" in entry or Path(entry).is_dir()]
        with suppress(OSError):  # no cache of one's own: the next start says what to type again
            write_json(user_cache() / _REMEMBERED, list(dict.fromkeys([*there, *folders])))


def noted(file: str) -> list[str]:
    """Return the texts that were noted in ``file`` of the user's cache; [] where there are none."""
    try:
        return list(map(str, json.loads((user_cache() / file).read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError):
        return []


def check_folders(overrides: Sequence[str]) -> None:
    """Refuse a search path with a folder that is not there; ConfigError names it."""
    for entry in folders_of(overrides):
        if "://" not in entry and not Path(entry).is_dir():
            raise ConfigError(
                f"{KEY}: there is no folder {entry}. Put it back, or say where the options are "
                f"now: '{KEY}=[file:///…]'. A run that goes on remembers its own."
            )


def _absolute(entry: str) -> str:
    path = entry.removeprefix(_FILE)
    return entry if "://" in path else str(with_home(path).absolute())


def remember_addresses(config: Iterable[tuple[str, object]]) -> None:
    """Note the servers and folders that were given, e.g. as ``logger.mlflow.tracking_uri``."""
    given = (address_of(key, value) for key, value in config)
    addresses = [address for address in given if address is not None and address not in _USUAL]
    if addresses:
        _typed.update(addresses)
        remember(addresses)


def address_of(key: str, value: object) -> str | None:
    """Return what is noted of a value with which a training speaks to a server or writes there.

    Returns:
        A URL, without its password; None for a value that is something else.
    """
    if value is None or not key.endswith(ADDRESSES):
        return None
    folder = key.endswith(_FOLDERS)
    return f"{_FILE}{from_root(str(value))}" if folder else without_passwords(str(value))


def check_addresses(config: "PlainConfig", *, known: bool) -> None:
    """Refuse to go on without a password that the run began with, for none is saved.

    And refuse a server, or a folder that runs share, which was never given on this machine: the
    former gets its keys, the latter is written to, and a run that goes on may be from anywhere.
    Those of a run that begins are ``known``.

    Raises:
        ConfigError: Naming the key of a password.
        UntrustedError: Naming that of a server or folder.
    """
    for key, value in leaves(config):
        if isinstance(value, str) and HIDDEN in value and HIDDEN in passwords_in(value):
            raise ConfigError(
                f"{key}={value}: passwords are not saved; give it again, {key}=<the whole>, "
                "or leave it out where the environment gives it, as PGPASSWORD does for PostgreSQL "
                "and MLFLOW_TRACKING_PASSWORD for MLflow."
            )
    if known:
        return
    sections = {name: config.get(name) for name in ("callbacks", "data", "logger")}
    given = {None, *_typed, *_USUAL, *noted(_REMEMBERED)}
    for key, value in leaves(sections):
        if address_of(key, value) not in given:
            raise UntrustedError(
                f"config.yaml: refused, because {key}={value} was never given on this machine. A "
                "server gets the keys of this machine, and into a folder files are written. If it "
                f"is yours, give it again: {key}={value}"
            )
