"""A set is there whole or not at all, whatever ends the process; and the next call goes on."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.commands.cli.launch import EXIT_INTERRUPT
from src.core.errors import DataError
from tests.support.images import pixels, write, write_folder
from tests.support.prepared import SIZES, names, prepare_set5
from tests.support.runs import command, process
from tools.download_faults import CUT, GOOD, HALF, QUICK, RESUMABLE
from tools.flaky_server import Answer, FlakyServer

IN_A_FOLDER = """
import fcntl, sys
file = open(sys.argv[1] + "/.lock", "a+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of five images."""
    return write_folder(tmp_path / "copy", 5)


@pytest.mark.long
def test_a_failed_replacement_leaves_the_earlier_set_as_it_was(
    source: Path, tmp_path: Path
) -> None:
    prepare_set5(tmp_path / "data", f"source={source}")
    (source / "e.png").write_bytes(b"no image")
    with pytest.raises(Exception, match="is not an image"):
        prepare_set5(tmp_path / "data", f"source={source}", "overwrite=true")
    assert prepare_set5(tmp_path / "data", "verify=true") == 5
    assert names(tmp_path / "data") == ["set5"]


def test_what_a_killed_process_left_is_cleared_away(source: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "data/.set5.0123abcd.tmp", 3)
    prepare_set5(tmp_path / "data", f"source={source}")
    assert names(tmp_path / "data") == ["set5"]


@pytest.mark.long
def test_a_set_lost_half_way_through_its_replacement_comes_back(
    source: Path, tmp_path: Path
) -> None:
    prepare_set5(tmp_path / "data", f"source={source}")
    (tmp_path / "data/set5").rename(tmp_path / "data/.set5.0123abcd.old")
    assert prepare_set5(tmp_path / "data", "verify=true") == 5


@pytest.mark.long
def test_two_processes_do_not_prepare_in_one_folder(source: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    command = [sys.executable, "-c", IN_A_FOLDER, str(tmp_path / "data")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        with pytest.raises(DataError, match=r"Another process.*data; wait for it to end"):
            prepare_set5(tmp_path / "data", f"source={source}")
        other.kill()
    assert prepare_set5(tmp_path / "data", f"source={source}") == 5
    assert names(tmp_path / "data") == ["set5"]


def test_a_resumed_download_asks_for_the_missing_part_only(tmp_path: Path) -> None:
    with FlakyServer() as server:
        url = server.serve("/a.zip", CUT, RESUMABLE)
        assert prepare_set5(tmp_path, f"dataset.set5.archives=[[{{url: '{url}'}}]]", *QUICK) == 5
        (_, whole), (_, part) = server.asked
    assert whole is None
    start = int((part or "").removeprefix("bytes=").removesuffix("-"))
    assert HALF - (1 << 14) < start <= HALF


@pytest.mark.slow
def test_ctrl_c_keeps_what_came_and_the_next_call_goes_on(tmp_path: Path) -> None:
    stalling = Answer(GOOD, headers=CUT.headers, ranges=True, stall=HALF)
    with FlakyServer() as server:
        url = server.serve("/a.zip", stalling, RESUMABLE)
        words = (f"dataset.set5.archives=[[{{url: '{url}'}}]]", f"paths.data_dir={tmp_path}")
        running = process("prepare", "dataset=set5", SIZES, *words, "timeout=30")
        _wait_for_bytes(tmp_path, running)
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=60)[1]
        assert running.returncode == EXIT_INTERRUPT, said
        assert "Kept in" in said
        assert names(tmp_path) == [".downloads"]
        assert command("prepare", "dataset=set5", SIZES, *words).code == 0
        assert server.asked[1][1] is not None
    assert names(tmp_path) == ["set5"]


@pytest.mark.slow
def test_a_killed_download_goes_on_where_it_was(tmp_path: Path) -> None:
    stalling = Answer(GOOD, headers=CUT.headers, ranges=True, stall=HALF)
    with FlakyServer() as server:
        url = server.serve("/a.zip", stalling, RESUMABLE)
        words = (f"dataset.set5.archives=[[{{url: '{url}'}}]]", f"paths.data_dir={tmp_path}")
        running = process("prepare", "dataset=set5", SIZES, *words)
        _wait_for_bytes(tmp_path, running)
        running.kill()
        running.communicate()
        assert command("prepare", "dataset=set5", SIZES, *words).code == 0
        assert server.asked[1][1] is not None
    assert names(tmp_path) == ["set5"]


def _wait_for_bytes(folder: Path, running: subprocess.Popen[str]) -> None:
    """Wait until a download has come to the disk in part."""
    while not any(part.stat().st_size for part in folder.rglob("*.part")):
        assert running.poll() is None, running.communicate()[1]
        time.sleep(0.05)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own of 17 MB, of which 16 MB are to stay free."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=17m", "tmpfs", str(folder)],  # noqa: S607
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)  # noqa: S607


def test_a_disk_that_fills_up_is_named_and_the_download_can_go_on_elsewhere(
    small_disk: Path,
) -> None:
    huge = Answer(GOOD * 70, length=-1)  # 20 MB, of which the server says no size
    with FlakyServer() as server:
        url = server.serve("/a.zip", huge)
        with pytest.raises(DataError, match=r"the disk is full.\n.*paths.data_dir="):
            prepare_set5(small_disk / "data", f"dataset.set5.archives=[[{{url: '{url}'}}]]", *QUICK)
    assert not (small_disk / "data/set5").exists()


def test_images_that_will_not_fit_are_refused_before_one_is_written(
    small_disk: Path, tmp_path: Path
) -> None:
    source = tmp_path / "copy"
    for name in "abcde":
        write(source / f"{name}.png", pixels(500, 400, seed=ord(name)))
    with pytest.raises(DataError, match="There is no room for the images of set5"):
        prepare_set5(small_disk / "data", f"source={source}")
    assert names(small_disk / "data") == []
