"""Looks the pinned packages up among known vulnerabilities, and says how many it could look up.

``python -m tools.audit <pip-audit>`` exits with 1 only for a known vulnerability. pip-audit
itself ends well where its database knows nothing of a package, which would pass for safe; here that
is said. One package is asked for first: where the database does not answer, the others are not.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.core.paths import ROOT

PINS = ROOT / "constraints.txt"
PROBE = "idna=="
"""Begins the line of the package that is asked for first: small, old, and needed by all clients."""


@dataclass(frozen=True)
class Audit:
    """What a database said of some packages."""

    asked: int  # how many were looked up
    known: int  # how many it knows, in that version
    vulnerable: tuple[str, ...]  # one line for each that has a known vulnerability

    def __str__(self) -> str:
        if self.vulnerable:
            return "\n  ".join(["Known vulnerabilities:", *self.vulnerable])
        said = f"{self.known} of {self.asked} pinned packages looked up, no known vulnerability."
        if self.known < self.asked:
            said += f" NOT AUDITED: {self.asked - self.known}; the database does not know them."
        return said


def judge(output: str) -> Audit | None:
    """Return what pip-audit's JSON says; None where there is none: no answer from the database."""
    try:
        entries = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    found = [
        f"{entry['name']} {entry['version']}: {', '.join(vuln['id'] for vuln in entry['vulns'])}"
        for entry in entries
        if entry.get("vulns")
    ]
    known = sum("skip_reason" not in entry for entry in entries)
    return Audit(len(entries), known, tuple(found))


def look_up(program: str, lines: Sequence[str]) -> Audit | None:
    """Run pip-audit on pinned requirements."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        options = ("--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json")
        done = subprocess.run(
            [program, "--requirement", str(file), *options],
            capture_output=True,
            text=True,
            check=False,
        )
    return judge(done.stdout)


def main() -> None:
    """Probe, look all up, say it."""
    pins = [line for line in PINS.read_text(encoding="utf-8").splitlines() if "==" in line]
    first = look_up(sys.argv[1], [line for line in pins if line.startswith(PROBE)])
    if first is None or not first.known:
        sys.stdout.write("NOT AUDITED: the database of vulnerabilities does not answer here.\n")
        return
    audit = look_up(sys.argv[1], pins)
    sys.stdout.write(f"{audit or 'NOT AUDITED: the database stopped answering.'}\n")
    sys.exit(int(audit is not None and bool(audit.vulnerable)))


if __name__ == "__main__":
    main()
