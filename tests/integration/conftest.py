"""One trained run for all tests of a session; none of them may change it."""

import shutil
from pathlib import Path

import pytest

from tests.support.runs import train_tiny


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of two steps."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    train_tiny(folder)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """Return a copy of that run, for a test that changes it."""
    return Path(shutil.copytree(trained, tmp_path / "run"))
