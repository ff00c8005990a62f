"""The only file that knows where the repository is."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONF_DIR = ROOT / "conf"


def from_root(path: str | Path) -> Path:
    """Return ``path`` absolute: as it is, under ``~``, or relative to the repository root."""
    expanded = Path(path).expanduser()
    return expanded if expanded.is_absolute() else ROOT / expanded


def shown(name: str | Path) -> str:
    r"""Return ``name`` for people and for text files: bytes that are not UTF-8 as ``\xe9``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


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
