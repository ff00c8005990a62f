"""The only file that knows where things are: what is shipped, what is written, what is cached."""

import os
import re
from pathlib import Path

from src.core.redact import on_one_line

PACKAGE = Path(__file__).resolve().parents[1]
INSTALLED = (PACKAGE / "conf").is_dir()
"""Whether this is a wheel, which carries conf/ inside the package; in a checkout it lies beside."""

SHIPPED = PACKAGE if INSTALLED else PACKAGE.parent
"""Where conf/ and experiments/published are; never written to."""
CONF_DIR = SHIPPED / "conf"

ROOT = Path(os.environ.get("EXEMPLAR_ROOT") or Path.cwd()) if INSTALLED else PACKAGE.parent
"""Where relative paths of configuration files start: in a checkout the repository, else the current
folder. Typed ones start at the current folder (:mod:`src.app.config.typed`).

Jobs on other machines get it as ``EXEMPLAR_ROOT``.
"""

CACHE = ".cache"


def user_cache() -> Path:
    """Return the folder of this user's caches of ours.

    It is ``$EXEMPLAR_CACHE``, or ``exemplar`` below ``$XDG_CACHE_HOME`` or ``~/.cache``; of a user
    without a home, as in a container, below ``.cache`` where relative paths start.
    """
    own, common = os.environ.get("EXEMPLAR_CACHE"), os.environ.get("XDG_CACHE_HOME")
    if own:
        return Path(own)
    return (Path(common) if common else (home() or ROOT) / CACHE) / "exemplar"


def home() -> Path | None:
    """Return this user's home; None where neither ``$HOME`` nor the user database has one."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def with_home(path: str | Path) -> Path:
    """Return ``path`` with its ``~`` replaced; as it is where that is nobody's home."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - that of Path raises RuntimeError


def from_root(path: str | Path) -> Path:
    """Return ``path`` absolute: as it is, under ``~``, or relative to ``ROOT``.

    Without a checkout ``.cache/…`` is in the user's cache, which all folders share.
    """
    expanded = Path(os.path.expanduser(path))  # noqa: PTH111  as in with_home
    if expanded.is_absolute():
        return expanded
    if INSTALLED and expanded.parts[:1] == (CACHE,):
        return user_cache().joinpath(*expanded.parts[1:])
    return ROOT / expanded


def shown(name: str | Path) -> str:
    r"""Return ``name`` for people and for text files, on one line.

    Bytes that are not UTF-8 are ``\xe9``, control characters ``\x1b`` or ``\n``.
    """
    return on_one_line(os.fsencode(name).decode("utf-8", "backslashreplace"))


def escape_surrogates(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for characters that cannot be encoded; an error handler of ``codecs``.

    Raises:
        UnicodeError: ``error``, if something was to be decoded.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    codes = (ord(character) for character in error.object[error.start : error.end])
    # Python keeps the byte 0xe9 of a file name as U+DCE9
    texts = (f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
             for code in codes)  # fmt: skip
    return "".join(texts), error.end


def quoted(word: str) -> str:
    """Return a file's name as Hydra reads it: nothing in it is an escape or another key's value."""
    literal = re.sub(r"(\\*)\$\{", lambda found: rf"{found[1] * 2}\${{", word)
    return "'" + re.sub(r"(\\*)('|$)", _before_quote, literal) + "'"


def _before_quote(found: re.Match[str]) -> str:
    return found[1] * 2 + (r"\'" if found[2] else "")
