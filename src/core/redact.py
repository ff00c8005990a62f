"""What is written and logged: without passwords, and without signs that pass for another line."""

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

HIDDEN = "***"
"""Stands for a password in everything that is written."""

_PASSWORD = re.compile(
    r"(?<=://)(?P<user>[^\s/:@'\"]*:)(?P<secret>[^\s/'\"]+)(?=@)"  # of user:password@host
    r"|(?P<key>[?&][\w-]*(?:password|passwd|pwd|token|secret|signature|sig|key)=)"
    r"(?P<value>[^\s&#'\"\\]+)",
    re.IGNORECASE,
)
_FOLDERS = re.compile(
    r"(?:^|(?<=[=,\[{:\s'\"]))(?:file://)?(?:~[\w.-]*)?/(?!/)(?:[^,\]}'\"]*/)?"
)  # before the last part of an absolute path
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)


def without_passwords(text: str) -> str:
    """Return ``text`` with ``***`` for each password or token in an address."""
    return _PASSWORD.sub(lambda m: f"{m['user'] or m['key'] or ''}{HIDDEN}", text)


def passwords_in(text: str) -> list[str]:
    """Return what ``without_passwords`` takes away, in its order."""
    return [match["secret"] or match["value"] for match in _PASSWORD.finditer(text)]


def with_passwords(text: str, passwords: Sequence[str]) -> str:
    """Return the text of which ``without_passwords`` has left ``text``."""
    parts = iter(passwords)
    return _PASSWORD.sub(lambda m: f"{m['user'] or m['key'] or ''}{next(parts)}", text)


def plain_without_passwords(node: Any) -> Any:  # noqa: ANN401
    """Return a copy of plain data without passwords."""
    return _changed(node, without_passwords)


def without_folders(node: Any) -> Any:  # noqa: ANN401
    """Return a copy of plain data with the last part alone of each absolute path."""
    return _changed(node, lambda text: _FOLDERS.sub("", text))


def readable_texts(node: Any) -> Any:  # noqa: ANN401
    """Return a copy of plain data whose texts, keys among them, are ``readable``."""
    return _changed(node, readable)


def _changed(node: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401
    if isinstance(node, dict):
        return {_changed(key, change): _changed(value, change) for key, value in node.items()}
    if isinstance(node, list):
        return [_changed(value, change) for value in node]
    return change(node) if isinstance(node, str) else node


def readable(text: str) -> str:
    r"""Return ``text`` with control characters, which a file's name may have, as ``\x1b``.

    So are characters without width and those that turn the direction of writing: a name is read as
    it is. Line breaks and tabs stay; a terminal is not steered.
    """
    return _CONTROL.sub(lambda m: repr(m[0])[1:-1], text)


def on_one_line(name: str) -> str:
    r"""Return ``name`` as it may stand in a line of a table or a log: a line break as ``\n``."""
    return readable(name).replace("\n", "\\n").replace("\t", "\\t")


class CleanRecord(logging.LogRecord):
    """A log record without passwords, whose further lines are set in: no name forges a line."""

    def getMessage(self) -> str:  # noqa: N802
        """Return the message as it may be written."""
        return readable(without_passwords(super().getMessage())).replace("\n", "\n  ")
