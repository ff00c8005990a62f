import subprocess
import sys
from pathlib import Path

import pytest

from src.app.run_lock import LOCK, alone_in
from src.core.errors import DataError
from src.core.paths import ROOT

HOLD = """
import sys
from pathlib import Path
from src.app.run_lock import alone_in
with alone_in(Path(sys.argv[1])):
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


def test_a_second_process_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    with _holder(tmp_path) as holder:
        refusal = pytest.raises(DataError, match=f"is in use: process {holder.pid} on ")
        with refusal, alone_in(tmp_path):
            pass
        holder.kill()


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    with _holder(tmp_path) as holder:
        holder.kill()
    with alone_in(tmp_path):
        assert (tmp_path / LOCK).is_file()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot be written.*paths.output_root"):
        alone_in(tmp_path / "file/run").__enter__()
