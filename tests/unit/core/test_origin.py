"""What records say of the machine."""

from pathlib import Path

import pytest

from src.core import origin

CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: {family}
model\t\t: {model}
model name\t: AMD EPYC

processor\t: 1
model name\t: another
"""


def test_generations_that_share_a_name_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    for family, model in ((25, 1), (26, 2)):
        file = tmp_path / "cpuinfo"
        file.write_text(CPUINFO.format(family=family, model=model))
        monkeypatch.setattr(origin, "Path", {"/proc/cpuinfo": file}.__getitem__)
        told.append(origin.hardware()["processor"])
    assert told == ["AMD EPYC (family 25, model 1)", "AMD EPYC (family 26, model 2)"]


def test_without_such_a_file_a_processor_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origin, "Path", {"/proc/cpuinfo": tmp_path / "none"}.__getitem__)
    assert origin.hardware()["processor"]
