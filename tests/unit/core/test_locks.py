import subprocess
import sys
from pathlib import Path

import pytest

from src.core.errors import DataError
from src.core.locks import LOCK, alone_in
from src.core.paths import ROOT

BUSY, UNUSABLE = "{folder} is in use: {holder}.", "{folder} cannot be written: {reason}."

HOLD = """
import sys
from pathlib import Path
from src.core.locks import alone_in
with alone_in(Path(sys.argv[1]), busy="", unusable=""):
    print("held", flush=True)
    sys.stdin.read()
"""


def _holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_with_who_is_there(tmp_path: Path) -> None:
    with _holder(tmp_path) as holder:
        refusal = pytest.raises(DataError, match=f"is in use: process {holder.pid} on ")
        with refusal, alone_in(tmp_path, busy=BUSY, unusable=UNUSABLE):
            pass
        holder.kill()


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    with _holder(tmp_path) as holder:
        holder.kill()
    with alone_in(tmp_path, busy=BUSY, unusable=UNUSABLE):
        assert (tmp_path / LOCK).is_file()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"run cannot be written: Not a directory"):
        alone_in(tmp_path / "file/run", busy=BUSY, unusable=UNUSABLE).__enter__()
