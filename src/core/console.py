"""Where commands print: names of files are shown as they are, whatever characters they have."""

import codecs
import sys

from rich.console import Console

from src.core.paths import escape_surrogates

_ESCAPED = "exemplar.escaped"


def plain_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Return a console that takes no ``[…]`` or ``:…:`` in a name for markup.

    Args:
        stderr: Whether it prints to standard error, where all but results goes.
        width: Columns; None for those of the terminal.
    """
    return Console(
        stderr=stderr, soft_wrap=True, highlight=False, markup=False, emoji=False, width=width
    )


def accept_all_names() -> None:
    r"""Let the standard streams print file names that are not UTF-8: their bytes as ``\xe9``."""
    codecs.register_error(_ESCAPED, escape_surrogates)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # not where a test has put its own
        if reconfigure is not None:
            reconfigure(errors=_ESCAPED)
