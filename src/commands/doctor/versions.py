"""What must be the same on all machines: the code and the packages it rests on."""

import hashlib
import socket
from collections.abc import Mapping, Sequence
from functools import partial

from src.commands.doctor.finding import Finding, right, wrong
from src.core.origin import origin, versions
from src.core.paths import CONF_DIR, PACKAGE

_READ = (("*.py", PACKAGE), ("*.yaml", CONF_DIR))


def facts() -> dict[str, str]:
    """Return commit, hash of all source and configuration files, and versions, of this machine."""
    return {"commit": str(origin()["commit"]), "source": source_digest(), **versions()}


def source_digest() -> str:
    """Return a hash of every Python and YAML file of the project, in the order of their names."""
    digest = hashlib.sha256()
    for pattern, folder in _READ:
        for file in sorted(folder.rglob(pattern)):
            digest.update(str(file.relative_to(folder)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def check_same(held: Sequence[Mapping[str, str]], names: Sequence[str]) -> list[Finding]:
    """Hold what the processes have against the first one's.

    Args:
        held: Each process's ``facts``.
        names: Of the processes.
    """
    findings = []
    first = held[0]
    for key in first:
        differ = [i for i, other in enumerate(held) if other.get(key) != first[key]]
        if differ:
            others = ", ".join(f"{names[i]} has {held[i].get(key)}" for i in differ)
            is_code = key in {"commit", "source"}
            advice = "the same checkout" if is_code else "the same environment (constraints.txt)"
            text = f"{names[0]} has {first[key]}, {others}"
            findings.append(wrong(f"same {key}", text, f"{advice} on all machines"))
    if findings:
        return findings
    said = partial("{} {}".format)
    return [right("same code", ", ".join(said(*item) for item in list(first.items())[:4]))]


def name_of(rank: int) -> str:
    """Return the name under which a process stands in the table."""
    return f"{rank} ({socket.gethostname()})"
