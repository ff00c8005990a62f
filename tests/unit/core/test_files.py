import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.core.errors import DataError
from src.core.files import LOCK, LONGEST, alone_in, fitting_name, replacing
from src.core.paths import ROOT

BUSY, UNUSABLE = "{folder} is in use: {holder}.", "{folder} cannot be written: {reason}."

HOLD = """
import sys
from pathlib import Path
from src.core.files import alone_in
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


LONG = ["a" * 300 + ".png", "é" * 200 + ".png", "𠮷" * 100 + ".png", "x." + "y" * 300]


def test_a_name_that_fits_stays() -> None:
    assert fitting_name("a.png") == "a.png"
    assert fitting_name("a" * 251 + ".png") == "a" * 251 + ".png"


@pytest.mark.parametrize("name", LONG)
def test_a_long_name_is_shortened_and_keeps_its_kind(name: str) -> None:
    short = fitting_name(name)
    assert len(os.fsencode(short)) <= LONGEST
    assert Path(short).suffix == Path(name).suffix[:16]
    assert short != fitting_name("b" + name)


@pytest.mark.parametrize("stem", ["𠮷" * 62, os.fsdecode(b"\xe9") * 250, "a" * 250])
def test_files_of_the_longest_names_are_written_whole(tmp_path: Path, stem: str) -> None:
    path = tmp_path / f"{stem}.png"
    with replacing(path) as temporary:
        temporary.write_text("content")
    assert path.read_text() == "content"
    assert list(tmp_path.iterdir()) == [path]
