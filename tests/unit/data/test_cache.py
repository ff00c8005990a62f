import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from src.core.errors import DataError, ImageFileError
from src.core.paths import ROOT
from src.data import cache_index
from src.data.cache import FORMAT, CachedItem, ImageCache
from src.data.cache_index import CacheIndex
from src.data.datasets.folder import ImageFolder
from src.data.source import FileItem
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
    monkeypatch.setattr(cache_index, "_SETTLED_NS", -1)  # as if written two seconds ago
    items = ImageFolder(write_folder(tmp_path / "images", 2)).items()
    ImageCache(tmp_path / "cache", channels=3).fill(items)
    (index,) = (tmp_path / "cache/index").iterdir()
    known = json.loads(index.read_text())
    known["a.png"][-1] = known["b.png"][-1]  # a lie that only a reading of a.png would find
    index.write_text(json.dumps(known))
    item = fill(tmp_path / "cache", tmp_path / "images/a.png")
    assert np.array_equal(item.load(3), pixels(seed=1))


def test_a_changed_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_index, "_SETTLED_NS", -1)
    path = write(tmp_path / "a.png", pixels(seed=1))
    fill(tmp_path / "cache", path)
    write(path, pixels(seed=2))
    assert np.array_equal(fill(tmp_path / "cache", path).load(3), pixels(seed=2))


def test_a_file_changed_just_now_is_not_trusted_by_its_time_stamp(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", pixels())
    index = CacheIndex(tmp_path / "cache", tmp_path)
    index.put(path, index.stamp(path), "hash")
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


def test_several_processes_fill_one_cache_at_once(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", 12, height=64, width=80)
    code = (
        "import sys; from pathlib import Path; from src.data.cache import ImageCache;"
        "from src.data.datasets.folder import ImageFolder;"
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
