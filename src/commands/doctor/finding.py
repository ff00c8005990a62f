"""What a check has found, and the table of all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich import box
from rich.console import Console
from rich.table import Table

RIGHT, WRONG, NOTE = "right", "wrong", "note"

_MARKS = {RIGHT: "[green]right[/]", WRONG: "[bold red]WRONG[/]", NOTE: "note"}


@dataclass(frozen=True)
class Finding:
    """One row of the table.

    Attributes:
        check: What was looked at.
        state: ``right``, ``wrong``, or ``note``: neither, but good to know.
        found: What is there.
        mend: What to do about it.
        where: The processes that found it.
    """

    check: str
    state: str
    found: str
    mend: str = ""
    where: str = ""


def right(check: str, found: str) -> Finding:
    """Return that ``check`` is as it must be."""
    return Finding(check, RIGHT, found)


def wrong(check: str, found: str, mend: str) -> Finding:
    """Return that ``check`` is not as it must be."""
    return Finding(check, WRONG, found, mend)


def note(check: str, found: str, mend: str = "") -> Finding:
    """Return what is neither right nor wrong."""
    return Finding(check, NOTE, found, mend)


def merged(findings: Sequence[Sequence[Finding]], names: Sequence[str]) -> list[Finding]:
    """Return the findings of all processes, those that are equal in several once.

    Args:
        findings: Of each process.
        names: Of each process.
    """
    holders: dict[Finding, list[str]] = {}
    for name, own in zip(names, findings, strict=True):
        for finding in own:
            holders.setdefault(finding, []).append(name)
    order = {finding.check: None for own in findings for finding in own}
    ranked = sorted(holders, key=lambda finding: list(order).index(finding.check))
    return [
        replace(finding, where="all" if len(holders[finding]) == len(names) > 1 else where)
        for finding in ranked
        for where in [", ".join(holders[finding]) if len(names) > 1 else ""]
    ]


def show(findings: Sequence[Finding]) -> int:
    """Print the table; return how many are wrong."""
    several = any(finding.where for finding in findings)
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("", "check", *(["process"] if several else [])):
        table.add_column(column, no_wrap=True)
    table.add_column("found", overflow="fold")
    table.add_column("to mend it", overflow="fold")
    for finding in findings:
        where = [finding.where] if several else []
        mark = _MARKS[finding.state]
        table.add_row(mark, finding.check, *where, finding.found, finding.mend)
    Console(highlight=False, width=_width()).print(table)
    return sum(finding.state == WRONG for finding in findings)


def _width() -> int | None:
    """Return a width at which a table stays readable where there is no terminal."""
    return None if Console().is_terminal else 150
