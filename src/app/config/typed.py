"""What a user types, as Hydra takes it: paths start at the current folder, groups have a slash."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep
from hydra.errors import HydraException

from src.app.config.options import NESTED, options_of
from src.app.config.schema import show
from src.core.paths import ROOT

FILES = ("input", "output", "restored", "source", "comparison", "experiments", "data.train",
         "data.train_dir", "data.val_dir", "data.target_dir", "data.input_dir",
         "data.val_target_dir", "data.val_input_dir", "loss.perceptual_file", "data.cache_dir",
         "paths.output_root", "paths.data_dir", "paths.cache_dir",
         "hydra.run.dir", "hydra.sweep.dir")  # fmt: skip
"""Keys whose values are paths."""

NAMES = ("checkpoint", "resume", "weights", "sets", "results", "compare")
"""Keys whose values may be names, e.g. ``set5`` or ``auto``: paths are what is there or has a /."""


_DOTTED = {f"{group}.{inner}": f"{group}/{inner}" for group, inner in NESTED.items()}


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
    key = word.partition("=")[0].lstrip("+~")
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
    return f"{word.partition('=')[0]}={','.join(map(_typed, placed))}"


def _placed(value: Any, *, is_path: bool) -> Any:  # noqa: ANN401
    """Return a parsed value with its relative paths made absolute."""
    if isinstance(value, list):
        return [_placed(one, is_path=is_path) for one in value]
    if isinstance(value, dict):
        return {key: _placed(one, is_path=is_path) for key, one in value.items()}
    if not isinstance(value, str) or value == "-" or value.startswith(("~", "/", "${")):
        return value
    if "://" in value:
        return value
    here = str(Path.cwd() / value)
    named = not is_path and ("/" not in value or value.startswith("zoo/"))
    return value if named and not os.path.lexists(here) else here


def _typed(value: Any) -> str:  # noqa: ANN401
    """Return a parsed value as one would type it."""
    if isinstance(value, list):
        return f"[{','.join(map(_typed, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_typed(one)}' for key, one in value.items())}}}"
    if isinstance(value, str):
        return '"' + value.replace('"', '\\"') + '"'
    return show(value)
