"""What a check has found, and the table of all findings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.text import Text

from src.core.console import FoldingTable, make_console

RIGHT, WRONG, NOTE = "right", "wrong", "note"
_MARKS = {RIGHT: Text("right", "green"), WRONG: Text("WRONG", "bold red"), NOTE: Text("note")}


@dataclass(frozen=True)
class Finding:
    """One row of the table."""

    check: str  # what was looked at
    state: str  # right, wrong, or note: neither, but good to know
    found: str  # what is there
    mend: str = ""  # what to do about it
    where: str = ""  # the processes that found it


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
    """Return the findings of the processes called ``names``, those equal in several once."""
    finders: dict[Finding, list[str]] = {}
    for name, own in zip(names, findings, strict=True):
        for finding in own:
            finders.setdefault(finding, []).append(name)
    order = list(dict.fromkeys(finding.check for own in findings for finding in own))
    return [
        replace(finding, where="all" if len(where) == len(names) else ", ".join(where))
        for finding, where in sorted(finders.items(), key=lambda item: order.index(item[0].check))
    ]


def show(findings: Sequence[Finding]) -> float:
    """Print the table; return how many are wrong."""
    several = any(finding.where for finding in findings)
    keys = ["", "check", *(["process"] if several else [])]
    table = FoldingTable(keys, texts=["found"], remark="to mend it")
    for finding in findings:
        where = [finding.where] if several else []
        mark = _MARKS[finding.state]
        table.add_row(mark, finding.check, *where, finding.found, finding.mend)
    make_console().print(table)
    return float(sum(finding.state == WRONG for finding in findings))
