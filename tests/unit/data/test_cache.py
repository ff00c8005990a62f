import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from src.core.errors import ConfigError, DataError, ImageFileError
from src.core.paths import ROOT
from src.data import cache
from src.data.cache import FORMAT, CachedItem, CacheIndex, ImageCache, stamp_of
from src.data.cache_use import evict
from src.data.datamodule import RestorationData
from src.data.source import FileItem, ImageFolder
from tests.support.images import pixels, write, write_folder


def fill(cache_dir: Path, path: Path, channels: int = 3) -> CachedItem:
    item = ImageCache(cache_dir, channels=channels).fill({"a": FileItem(path)})["a"]
    assert isinstance(item, CachedItem)
    return item


def test_cached_pixels_equal_the_file_and_are_a_read_only_view(tmp_path: Path) -> None:
    image = pixels()
    loaded = fill(tmp_path / "cache", write(tmp_path / "a.png", image)).load(3)
    assert np.array_equal(loaded, image)
    assert isinstance(loaded, np.memmap)
    assert not loaded.flags.writeable


def test_an_entry_is_named_by_content_so_that_copies_share_it(tmp_path: Path) -> None:
    image = pixels()
    first = fill(tmp_path / "cache", write(tmp_path / "a.png", image))
    copy = fill(tmp_path / "cache", write(tmp_path / "other/b.png", image))
    assert first.entry == copy.entry


def test_channels_are_kept_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", pixels())
    assert fill(tmp_path / "cache", path, 1).load(1).shape == (20, 24, 1)
    assert fill(tmp_path / "cache", path, 3).load(3).shape == (20, 24, 3)


def test_an_unchanged_file_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_SETTLED_NS", -1)  # as if written two seconds ago
    items = ImageFolder(write_folder(tmp_path / "images", 2)).items()
    ImageCache(tmp_path / "cache", channels=3).fill(items)
    (index,) = (tmp_path / "cache/index").iterdir()
    known = json.loads(index.read_text())
    known["a.png"][-1] = known["b.png"][-1]  # a lie that only a reading of a.png would find
    index.write_text(json.dumps(known))
    item = fill(tmp_path / "cache", tmp_path / "images/a.png")
    assert np.array_equal(item.load(3), pixels(seed=1))


def test_a_changed_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_SETTLED_NS", -1)
    path = write(tmp_path / "a.png", pixels(seed=1))
    fill(tmp_path / "cache", path)
    write(path, pixels(seed=2))
    assert np.array_equal(fill(tmp_path / "cache", path).load(3), pixels(seed=2))


def test_a_file_changed_just_now_is_not_trusted_by_its_time_stamp(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", pixels())
    index = CacheIndex(tmp_path / "cache", tmp_path)
    index.put(path, stamp_of(path), "hash")
    assert index.get(path) is None


def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bmp", pixels(seed=1))
    assert np.array_equal(fill(tmp_path / "cache", path).load(3), pixels(seed=1))
    stat = path.stat()
    write(path, pixels(seed=2))  # the same size, and in the next line the same time
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert np.array_equal(fill(tmp_path / "cache", path).load(3), pixels(seed=2))


@pytest.mark.parametrize("damage", ["cut", "zeros", "empty", "text", "wrong"])
def test_a_damaged_entry_is_made_again(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.png", pixels())
    entry = fill(tmp_path / "cache", path).entry
    whole = entry.read_bytes()
    other = tmp_path / "other.npy"
    np.save(other, np.zeros((4, 4), np.float32))
    entry.write_bytes(
        {
            "cut": whole[:-1],
            "zeros": bytes(len(whole)),
            "empty": b"",
            "text": b"hello",
            "wrong": other.read_bytes(),
        }[damage]
    )
    with caplog.at_level(logging.INFO):
        assert np.array_equal(fill(tmp_path / "cache", path).load(3), pixels())
    assert "is damaged and is made again" in caplog.text


@pytest.mark.long
def test_several_processes_fill_one_cache_at_once(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", 12, height=64, width=80)
    code = (
        "import sys; from pathlib import Path; from src.data.cache import ImageCache;"
        "from src.data.source import ImageFolder;"
        "items = ImageCache(Path(sys.argv[2]), channels=3).fill(ImageFolder(sys.argv[1]).items());"
        "print(sum(int(item.load(3).sum()) for item in items.values()))"
    )
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "cache")]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(3)]
    sums = [process.communicate()[0] for process in running]
    expected = sum(int(pixels(64, 80, seed=index).sum()) for index in range(12))
    assert [int(text) for text in sums] == [expected] * 3
    assert len(list((tmp_path / "cache").rglob(f"*-c3-{FORMAT}.npy"))) == 12
    assert not list((tmp_path / "cache").rglob(".*"))


def test_a_folder_appears_with_its_first_file(tmp_path: Path) -> None:
    # An empty one is replaced by the renaming of another process that was about to make it too, and
    # who is opening a file in it at that moment is told that there is no such folder.
    first, second = tmp_path / "cache/ab/first.npy", tmp_path / "cache/ab/second.npy"
    with cache._replacing(first, tmp_path / "cache") as one:
        with cache._replacing(second, tmp_path / "cache") as other:
            assert not first.parent.exists()
            other.write_bytes(b"second")
        assert [path.name for path in first.parent.iterdir()] == ["second.npy"]
        one.write_bytes(b"first")
    assert first.read_bytes() == b"first"
    assert second.read_bytes() == b"second"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["ab"]


def test_an_unusable_file_says_why_when_it_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("hello")
    item = ImageCache(tmp_path / "cache", channels=3).fill({"a": FileItem(tmp_path / "a.png")})
    with pytest.raises(ImageFileError, match="is not an image"):
        item["a"].load(3)


def test_a_cache_that_cannot_be_written_names_both_ways_out(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    with pytest.raises(DataError, match=r"data\.cache_dir=.*data\.cache=off"):
        fill(tmp_path / "cache", write(tmp_path / "a.png", pixels()))


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from src.core.errors import DataError
from src.data.cache import FORMAT, ImageCache
from src.data.source import FileItem
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
try:
    ImageCache(Path(sys.argv[2]), channels=3).fill({"a": FileItem(Path(sys.argv[1]))})
except DataError as error:
    sys.exit("cannot be written" not in str(error))
sys.exit(2)
"""


@pytest.mark.long
def test_a_disk_that_fills_leaves_nothing_half_made(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", pixels())
    command = [sys.executable, "-c", FULL_DISK, str(path), str(tmp_path / "cache")]
    subprocess.run(command, check=True, cwd=ROOT)
    assert [entry for entry in (tmp_path / "cache").rglob("*") if entry.is_file()] == []


def test_an_entry_removed_during_the_run_is_named(tmp_path: Path) -> None:
    item = fill(tmp_path / "cache", write(tmp_path / "a.png", pixels()))
    item.entry.unlink()
    with pytest.raises(DataError, match=r"a\.png was removed or damaged during the run"):
        item.load(3)


def test_a_damaged_index_costs_a_reading_and_no_more(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", pixels())
    fill(tmp_path / "cache", path)
    index = CacheIndex(tmp_path / "cache", tmp_path)
    index._file.parent.mkdir(exist_ok=True)
    for damage in ("{", "[1]", '{"a.png": 3}', '{"a.png": []}'):
        index._file.write_text(damage)
        assert np.array_equal(fill(tmp_path / "cache", path).load(3), pixels())


SIZE, DAY = 1000, 86_400


def entries(cache_dir: Path, *days: float) -> list[Path]:
    """Make entries that were used so many days ago."""
    made = []
    for index, ago in enumerate(days):
        path = cache_dir / f"{index:02}" / f"{index:02}{'a' * 62}-c3-v2.npy"
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(SIZE))
        used(path, ago)
        made.append(path)
    return made


def used(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def there(made: list[Path]) -> list[int]:
    return [index for index, path in enumerate(made) if path.exists()]


def test_the_longest_unused_leave_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = entries(tmp_path, 4, 9, 8, 5, 6)
    with caplog.at_level(logging.INFO):
        evict(tmp_path, 3 * SIZE)
    assert there(made) == [0, 3, 4]
    assert "2 images unused for three days removed" in caplog.text


def test_below_the_limit_everything_stays(tmp_path: Path) -> None:
    made = entries(tmp_path, 7, 8, 9)
    evict(tmp_path, 3 * SIZE)
    assert there(made) == [0, 1, 2]


def test_what_was_used_in_three_days_stays_even_above_the_limit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = entries(tmp_path, 0, 2.9, 3.1, 9)
    with caplog.at_level(logging.INFO):
        evict(tmp_path, 0)
    assert there(made) == [0, 1]
    assert "in use, above data.cache_limit_gb=0" in caplog.text


def test_what_a_killed_process_left_half_made_leaves(tmp_path: Path) -> None:
    (made,) = entries(tmp_path, 9)
    half, fresh = (made.with_name(f".{'a' * 64}.{number}.tmp.npy") for number in range(2))
    for path in (half, fresh):
        path.write_bytes(bytes(10))
    used(half, 4)
    evict(tmp_path, 10 * SIZE)
    assert (made.exists(), half.exists(), fresh.exists()) == (True, False, True)


def test_a_folder_that_a_killed_process_left_half_made_leaves_too(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from src.data import cache;"
        "root = Path(sys.argv[1]); entry = root / 'aa' / ('a' * 64 + '-c3-v4.npy');"
        "manager = cache._replacing(entry, root); manager.__enter__().write_bytes(bytes(10));"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=False)
    (left,) = tmp_path.iterdir()
    evict(tmp_path, 10 * SIZE)
    assert left.exists()  # its process may still be at work
    used(*left.iterdir(), 4)
    evict(tmp_path, 10 * SIZE)
    assert not left.exists()


def test_a_file_that_is_no_entry_is_never_removed(tmp_path: Path) -> None:
    (made,) = entries(tmp_path, 9)
    theirs = made.with_name("features.npy")
    theirs.touch()
    used(theirs, 9)
    evict(tmp_path, 0)
    assert (made.exists(), theirs.exists()) == (False, True)


def test_each_use_keeps_an_image_for_three_days_more(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", pixels())
    item = fill(tmp_path / "cache", path)
    for use in (lambda: item.load(3), lambda: fill(tmp_path / "cache", path)):
        used(item.entry, 9)
        use()
        evict(tmp_path / "cache", 0)
        assert np.array_equal(item.load(3), pixels())
    used(item.entry, 9)
    evict(tmp_path / "cache", 0)
    assert not item.entry.exists()


def test_a_fill_removes_images_of_earlier_runs_only(tmp_path: Path) -> None:
    cache_of_one_byte = ImageCache(tmp_path / "cache", channels=3, limit=1)
    old = cache_of_one_byte.fill(ImageFolder(write_folder(tmp_path / "old", 2)).items())
    assert all(item.load(3).size for item in old.values())  # in use, though above the limit
    kept = [item.entry for item in old.values() if isinstance(item, CachedItem)]
    for entry in kept:
        used(entry, 4)
    new = cache_of_one_byte.fill(ImageFolder(write_folder(tmp_path / "new", 2, seed=1)).items())
    assert all(item.load(3).size for item in new.values())
    assert there(kept) == []
    again = cache_of_one_byte.fill(ImageFolder(tmp_path / "old").items())
    assert all(item.load(3).size for item in again.values())


@pytest.mark.parametrize(("value", "size"), [(None, None), (0, 0), (0.5, 500_000_000)])
def test_a_limit_is_in_gigabytes(value: float | None, size: int | None) -> None:
    assert RestorationData(cache_limit_gb=value)._opener.cache_limit == size


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.cache_limit_gb=-1 must be at least 0"):
        RestorationData(cache_limit_gb=-1)


def test_a_link_in_the_cache_leads_to_no_removal(tmp_path: Path) -> None:
    cache_dir, other = tmp_path / "cache", tmp_path / "other"
    theirs = fill(other, write(tmp_path / "a.png", pixels())).entry
    cache_dir.mkdir()
    (cache_dir / theirs.parent.name).symlink_to(theirs.parent)
    os.utime(theirs, (0, 0))
    evict(cache_dir, 0)
    assert theirs.is_file()


def as_user(user: int, function: Callable[[], object], umask: int) -> None:
    """Call ``function`` in a process of another user; all of them are in one group."""
    child = os.fork()
    if child == 0:
        os.umask(umask)
        os.setgroups([54321])
        os.setgid(user)
        os.setuid(user)
        try:
            function()
        except BaseException as error:  # this process is not to go on as the test
            os.write(2, f"user {user}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def common_place() -> Iterator[Path]:
    """Return a folder that every user may enter, which pytest's own are not."""
    if os.geteuid() != 0:
        pytest.skip("only root can be two users")
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        yield Path(place)


@pytest.mark.long
@pytest.mark.parametrize("mode", [0o2775, 0o1777], ids=["a group's", "everybody's"])
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_two_users_share_a_cache_and_it_serves_warm_where_nobody_can_write(
    mode: int, umask: int, common_place: Path
) -> None:
    cache_dir = common_place / "cache"
    cache_dir.mkdir()
    os.chown(cache_dir, -1, 54321)
    cache_dir.chmod(mode)
    files = [write(common_place / f"{size}.png", pixels(size, 24)) for size in range(20, 60)]
    for file in files:
        file.chmod(0o644)

    def use(count: int) -> Callable[[], None]:
        return lambda: [fill(cache_dir, file).load(3) for file in files[:count]] and None

    as_user(1001, use(20), umask)
    as_user(1002, use(40), umask)
    as_user(1001, use(40), umask)
    for path in (cache_dir, *cache_dir.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    as_user(1003, use(40), umask)
