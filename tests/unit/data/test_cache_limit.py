import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from src.core.errors import ConfigError
from src.core.paths import ROOT
from src.data import cache_limit
from src.data.cache import CachedItem, ImageCache
from src.data.cache_limit import evict, filling, keep
from src.data.datasets.folder import ImageFolder
from src.data.settings import check_gigabytes
from tests.support.images import write_folder

SIZE = 1000

HOLD = """
import sys
from pathlib import Path
from src.data.cache_limit import filling, keep
folder = Path(sys.argv[1])
with filling(folder):
    keep(folder, map(Path, sys.argv[2:]))
    if not sys.argv[2:]:
        print("filling", flush=True)
        sys.stdin.read()
print("kept", flush=True)
sys.stdin.read()
"""


def entries(cache_dir: Path, count: int) -> list[Path]:
    """Make entries that no process has named, the first used longest ago."""
    made = []
    for index in range(count):
        path = cache_dir / f"{index:02}" / f"{index:02}{'a' * 62}-c3-v2.npy"
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(SIZE))
        os.utime(path, (1e9 + index, 1e9 + index))
        made.append(path)
    return made


@contextmanager
def holder(cache_dir: Path, *used: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that has named ``used``, or, without any, goes on filling the cache."""
    command = [sys.executable, "-c", HOLD, str(cache_dir), *map(str, used)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe) as running:
        assert running.stdout is not None
        assert running.stdout.readline() in {"filling\n", "kept\n"}
        yield running
        running.kill()


def left(made: list[Path]) -> list[int]:
    return [index for index, path in enumerate(made) if path.exists()]


def test_the_longest_unused_leave_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = entries(tmp_path, 5)
    os.utime(made[0])  # used just now
    with caplog.at_level(logging.INFO):
        evict(tmp_path, 3 * SIZE)
    assert left(made) == [0, 3, 4]
    assert "2 images that no run uses removed" in caplog.text


def test_below_the_limit_everything_stays(tmp_path: Path) -> None:
    made = entries(tmp_path, 3)
    evict(tmp_path, 3 * SIZE)
    assert left(made) == [0, 1, 2]


def test_what_a_living_process_uses_stays_and_leaves_after_it_was_killed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = entries(tmp_path, 4)
    with holder(tmp_path, made[1], made[2]):
        with caplog.at_level(logging.INFO):
            evict(tmp_path, 0)
        assert left(made) == [1, 2]
        assert "in use, above data.cache_limit_gb=0" in caplog.text
    evict(tmp_path, 0)
    assert left(made) == []
    assert list((tmp_path / "in_use").iterdir()) == []


def test_nothing_leaves_while_another_process_fills_the_cache(tmp_path: Path) -> None:
    made = entries(tmp_path, 2)
    with holder(tmp_path):
        evict(tmp_path, 0)
        assert left(made) == [0, 1]
    evict(tmp_path, 0)
    assert left(made) == []


def test_a_file_that_is_no_entry_is_never_removed(tmp_path: Path) -> None:
    (made,) = entries(tmp_path, 1)
    theirs = made.with_name("features.npy")
    theirs.touch()
    evict(tmp_path, 0)
    assert theirs.exists()
    assert not made.exists()


def test_what_a_killed_process_left_half_made_leaves(tmp_path: Path) -> None:
    (made,) = entries(tmp_path, 1)
    half = made.with_name(f".{'a' * 64}.0123.tmp.npy")
    half.write_bytes(bytes(10))
    evict(tmp_path, 10 * SIZE)
    assert made.exists()
    assert not half.exists()


def test_a_cache_that_cannot_be_locked_is_used_and_nothing_leaves(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with filling(in_the_way / "cache"):
        keep(in_the_way / "cache", [in_the_way / "cache/00/a.npy"])
    evict(in_the_way / "cache", 0)


def _end_of_process(cache_dir: Path) -> None:
    """Drop what this process has named, as its end would."""
    cache_limit._files.pop((cache_dir, os.getpid())).close()


def test_a_fill_removes_images_of_earlier_runs_only(tmp_path: Path) -> None:
    cache_dir = tmp_path / "cache"
    cache = ImageCache(cache_dir, channels=3, limit=1)
    old = cache.fill(ImageFolder(write_folder(tmp_path / "old", 2)).items())
    assert all(item.load(3).size for item in old.values())  # in use, though above the limit
    _end_of_process(cache_dir)
    new = cache.fill(ImageFolder(write_folder(tmp_path / "new", 2, seed=1)).items())
    assert all(item.load(3).size for item in new.values())
    assert not any(item.entry.exists() for item in old.values() if isinstance(item, CachedItem))
    again = cache.fill(ImageFolder(tmp_path / "old").items())
    assert all(item.load(3).size for item in again.values())


@pytest.mark.parametrize(("value", "size"), [(None, None), (0, 0), (0.5, 500_000_000)])
def test_a_limit_is_in_gigabytes(value: float | None, size: int | None) -> None:
    assert check_gigabytes("cache_limit_gb", value) == size


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.cache_limit_gb=-1 must be at least 0"):
        check_gigabytes("cache_limit_gb", -1)
