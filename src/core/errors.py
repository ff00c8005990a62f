"""What a user may meet: exceptions that say what came, what is allowed, what to do."""

import difflib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from src.core.paths import INSTALLED, shown


class ExemplarError(Exception):
    """A mistake in what was given, shown to the user without a traceback."""


class ConfigError(ExemplarError):
    """The configuration cannot work; nothing has been touched yet."""


class ImageFileError(ExemplarError):
    """An image file cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{shown(path)}: {reason}")
        self.path, self.reason = path, reason


class DataError(ExemplarError):
    """A data set is missing, empty or unusable."""


class CheckpointError(ExemplarError):
    """A checkpoint cannot be read or does not fit."""


class UntrustedError(CheckpointError):
    """A file would have something called that is not listed; it is whole, but it is not used."""


class NonFiniteError(ExemplarError):
    """Training met a NaN or an infinity; the weights from before that step are intact."""


class MismatchError(ExemplarError):
    """A score is not what was published."""


def did_you_mean(name: str, allowed: Iterable[str], *, limit: int = 3) -> str:
    """Return "Did you mean …?" with the names nearest to ``name``, or the list of all."""
    known = sorted(set(allowed))
    near = difflib.get_close_matches(name, known, n=limit)
    if near:
        return f"Did you mean {', '.join(near)}?"
    return f"Allowed: {', '.join(known) or 'nothing'}."


def need(package: str, *, extra: str, asked: str) -> None:
    """Refuse what was ``asked`` for, as typed, without the package that ``extra`` brings.

    Raises:
        ConfigError: Saying how to install it.
    """
    if find_spec(package) is None:
        own = f"--constraint constraints.txt --editable '.[{extra}]'"
        what = f"'exemplar[{extra}]'" if INSTALLED else own
        raise ConfigError(
            f"{asked} needs the package {package!r}, which is not installed. Install it by\n"
            f"  python -m pip install {what}\n"
            f"or leave {asked} out."
        )
