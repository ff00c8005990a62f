import subprocess
import sys
from pathlib import Path

import pytest

from src.core.errors import DataError
from src.core.locks import LOCK, OwnFolder, alone_in
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


def test_a_part_of_what_a_process_does_may_ask_again_and_does_not_let_go(tmp_path: Path) -> None:
    with alone_in(tmp_path, busy=BUSY, unusable=UNUSABLE):
        with alone_in(tmp_path / "." / "x" / "..", busy=BUSY, unusable=UNUSABLE):
            pass
        other = subprocess.run(
            [sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, capture_output=True, check=False
        )
        assert b"InUseError" in other.stderr


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


def test_a_folder_is_known_by_more_than_its_name(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    folder.mkdir()
    own = OwnFolder(folder)
    own.check()
    folder.rename(elsewhere)
    with pytest.raises(DataError, match="was moved or removed while"):
        own.check()
    folder.mkdir()
    with pytest.raises(DataError, match="nothing was written"):
        own.check()
    folder.rmdir()
    elsewhere.rename(folder)  # put back
    own.check()


def test_a_new_folder_does_not_get_the_number_of_one_that_was_removed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    own = OwnFolder(tmp_path / "run")
    for _ in range(50):
        (tmp_path / "run").rmdir()
        (tmp_path / "run").mkdir()
        with pytest.raises(DataError):
            own.check()


def test_the_lock_of_another_process_in_a_new_folder_stays(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with alone_in(folder, busy=BUSY, unusable=UNUSABLE):
        folder.rename(tmp_path / "elsewhere")
        other = _holder(folder)
    assert (folder / LOCK).is_file()
    other.communicate()
