"""What the dependency audit makes of pip-audit's answers."""

import importlib.metadata
import json
import re
import sys

import pytest

from src.core.paths import ROOT
from tools.audit import judge, look_up

SAFE = {"name": "a", "version": "1.0", "vulns": []}
BAD = {"name": "b", "version": "2.0", "vulns": [{"id": "PYSEC-1"}, {"id": "CVE-2"}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}

TOOLS = {"codespell"}
"""Run on our files and never imported, so that their licences do not reach ours."""

FORBIDDEN = re.compile(r"\bAGPL|Affero|\bSSPL|\bGPL|GNU General Public", re.IGNORECASE)


def _answer(*entries: dict[str, object]) -> str:
    return json.dumps({"dependencies": entries, "fixes": []})


def test_a_known_vulnerability_is_named() -> None:
    audit = judge(_answer(SAFE, BAD))
    assert audit is not None
    assert audit.vulnerable == ("b 2.0: PYSEC-1, CVE-2",)
    assert "PYSEC-1" in str(audit)


def test_a_package_that_the_database_does_not_know_does_not_pass_for_safe() -> None:
    said = str(judge(_answer(SAFE, UNKNOWN)))
    assert "1 of 2 pinned packages looked up" in said
    assert "NOT AUDITED: 1" in said


@pytest.mark.parametrize("output", ["", "Traceback", "[]", "{}"])
def test_no_answer_is_no_audit(output: str) -> None:
    assert judge(output) is None


def test_a_program_that_fails_is_no_audit() -> None:
    assert look_up(sys.executable, ["idna==3.20"]) is None


def test_ci_audits() -> None:
    assert "make lint types layers audit" in (ROOT / ".ci/run").read_text(encoding="utf-8")


def test_no_package_that_is_installed_with_us_has_a_licence_that_would_bind_us() -> None:
    """Of the metadata: the licence expression, else the classifiers."""
    bound = []
    for dist in importlib.metadata.distributions():
        meta = dist.metadata
        said = [meta.get("License-Expression") or "", *(meta.get_all("Classifier") or [])]
        licences = [line for line in said if "License" in line or line == said[0]]
        free = any(re.search("MIT|BSD|Apache|LGPL|MPL|PSF", line) for line in licences)
        if not free and any(FORBIDDEN.search(line) for line in licences):
            bound.append(dist.name)
    assert set(bound) <= TOOLS
