"""Sets are taken over from folders and archives of this machine, checked, and recorded."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from src.commands.prepare.command import prepare
from src.core.errors import DataError
from src.data.prepared import fingerprint, prepared_folder
from tests.support.compose import compose_config
from tests.support.images import pixels, write, write_folder
from tests.support.prepared import SIZES, names, prepare_set5
from tests.support.runs import command
from tools.download_faults import GOOD, QUICK
from tools.flaky_server import Answer, FlakyServer


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of five images."""
    return write_folder(tmp_path / "copy", 5)


def test_a_folder_of_this_machine_becomes_a_prepared_set(source: Path, tmp_path: Path) -> None:
    assert prepare_set5(tmp_path / "data", f"source={source}") == 5
    folder = prepared_folder(tmp_path / "data", "set5")
    assert names(folder) == ["a.png", "b.png", "c.png", "d.png", "e.png", "manifest.json"]
    assert (folder / "a.png").read_bytes() == (source / "a.png").read_bytes()
    record = json.loads((folder / "manifest.json").read_text())
    assert (record["set"], record["role"], record["complete"]) == (
        "set5",
        "test",
        False,
    )  # not its pixels
    assert record["images"][0] | {"sha256": "", "pixels": ""} == {
        "name": "a.png", "width": 24, "height": 20, "channels": 3,
        "bytes": (source / "a.png").stat().st_size, "sha256": "", "pixels": "",
    }  # fmt: skip


def test_an_archive_of_this_machine_is_found_under_its_usual_name(tmp_path: Path) -> None:
    (tmp_path / "Downloads").mkdir()
    (tmp_path / "Downloads/benchmark.tar").write_bytes(GOOD)  # a zip by content, and so read
    (tmp_path / "Downloads/other.png").write_bytes(b"no image")
    assert prepare_set5(tmp_path / "data", f"source={tmp_path / 'Downloads'}") == 5


def test_images_of_another_size_than_the_sets_are_refused(source: Path, tmp_path: Path) -> None:
    done = command("prepare", "dataset=set5", f"source={source}", f"paths.data_dir={tmp_path}")
    assert done.code == 1
    assert "a.png has 24×20 pixels; images of set5 have other sizes" in " ".join(done.err.split())
    assert not (tmp_path / "set5").exists()


@pytest.mark.long
def test_a_second_call_does_nothing_and_says_so(source: Path, tmp_path: Path) -> None:
    words = ("dataset=set5", SIZES, f"paths.data_dir={tmp_path / 'data'}")
    assert command("prepare", *words, f"source={source}").code == 0
    before = (tmp_path / "data/set5/manifest.json").stat()
    done = command("prepare", *words)
    assert "set5: already there, 5 images verified" in done.err
    assert (tmp_path / "data/set5/manifest.json").stat().st_mtime_ns == before.st_mtime_ns


def _flip(folder: Path) -> None:
    content = bytearray((folder / "b.png").read_bytes())
    content[-20] ^= 1
    (folder / "b.png").write_bytes(content)


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "words", "says"),
    [
        (lambda folder: (folder / "c.png").unlink(), (), "c.png is missing"),
        (lambda folder: (folder / "c.png").write_bytes(b"x"), (), "c.png has 1 bytes, not"),
        (lambda folder: (folder / "more.png").touch(), (), "more.png is not of the set"),
        (_flip, ("verify=true",), "b.png has another content"),
        (lambda folder: (folder / "manifest.json").write_text("{"), (), "missing or damaged"),
    ],
)
def test_what_changed_since_is_named(
    change: Callable[[Path], object],
    words: tuple[str, ...],
    says: str,
    source: Path,
    tmp_path: Path,
) -> None:
    prepare_set5(tmp_path / "data", f"source={source}")
    change(tmp_path / "data/set5")
    with pytest.raises(DataError, match=says) as caught:
        prepare_set5(tmp_path / "data", *words)
    assert "overwrite=true" in str(caught.value)
    assert prepare_set5(tmp_path / "data", f"source={source}", "overwrite=true", "verify=true") == 5
    assert prepare_set5(tmp_path / "data", "verify=true") == 5


def test_a_folder_of_the_users_own_is_never_replaced(source: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "data/set5", 2)
    with pytest.raises(DataError, match="was not made by this command"):
        prepare_set5(tmp_path / "data", f"source={source}", "overwrite=true")
    assert names(tmp_path / "data/set5") == ["a.png", "b.png"]


def test_one_failing_set_does_not_stop_the_others(tmp_path: Path) -> None:
    write_folder(tmp_path / "all/Set5", 5)
    cfg = compose_config(
        "dataset=[set14,set5]",
        SIZES,
        f"paths.data_dir={tmp_path / 'data'}",
        f"source={tmp_path / 'all'}",
        config_name="prepare",
    )
    with pytest.raises(DataError, match="set14: set14 has 14 images"):
        prepare(cfg)
    assert names(tmp_path / "data") == ["set5"]


def test_known_images_get_their_usualnames(tmp_path: Path) -> None:
    image = pixels(seed=3)
    write(tmp_path / "copy/img_001_SRF_2_HR.bmp", image)
    known = f"dataset.set5.pixels.baby='{fingerprint(image)}'"
    assert prepare_set5(tmp_path, f"source={tmp_path / 'copy'}", known, "dataset.set5.count=1") == 1
    assert names(tmp_path / "set5") == ["baby.bmp", "manifest.json"]


@pytest.mark.long
def test_images_of_a_prepared_test_set_are_left_out_of_a_training_set(
    source: Path, tmp_path: Path
) -> None:
    prepare_set5(tmp_path / "data", f"source={source}")
    train = write_folder(tmp_path / "train", 6, seed=5)
    with Image.open(source / "c.png") as image:  # the same pixels in another format
        image.save(train / "seen.bmp")
    words = ("dataset=wed", f"source={train}", f"paths.data_dir={tmp_path / 'data'}")
    done = command("prepare", *words, "dataset.wed.count=6")
    assert done.code == 0, done.err
    assert "left out: seen.bmp is the test image set5/c" in done.err
    assert "seen.bmp" not in names(tmp_path / "data/wed")
    record = json.loads((tmp_path / "data/wed/manifest.json").read_text())
    assert record["left_out"] == {"seen.bmp": "is the test image set5/c"}


@pytest.mark.long
def test_a_training_set_that_was_prepared_before_a_test_set_is_named(
    source: Path, tmp_path: Path
) -> None:
    place = f"paths.data_dir={tmp_path / 'data'}"
    train = ("dataset=wed", "dataset.wed.count=5", f"source={source}", place)
    assert command("prepare", *train).code == 0
    done = command("prepare", "dataset=set5", SIZES, f"source={source}", place)
    assert "wed was prepared before and may hold some of them" in done.err
    assert "dataset=wed overwrite=true" in done.err


def test_a_set_on_request_says_what_to_do(tmp_path: Path) -> None:
    done = command("prepare", "dataset=manga109", f"paths.data_dir={tmp_path}")
    assert done.code == 1
    assert "Ask for Manga109" in done.err
    assert "python -m src.prepare dataset=manga109 source=" in done.err


def test_a_mirror_of_ones_own_is_tried_first(tmp_path: Path) -> None:
    with FlakyServer() as server:
        server.serve("/sets/here.zip", Answer(GOOD))
        archives = "dataset.set5.archives=[[{url: 'http://127.0.0.1:9/here.zip'}]]"
        assert prepare_set5(tmp_path, archives, f"mirror={server.url}/sets/", *QUICK) == 5
        assert server.asked == [("/sets/here.zip", None)]


def _contents(place: Path) -> bytes:
    return b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())


@pytest.mark.long
def test_a_password_in_the_address_of_a_mirror_is_written_nowhere(tmp_path: Path) -> None:
    with FlakyServer() as server:
        cut = Answer(GOOD, cut=len(GOOD) // 2, ranges=True, headers={"ETag": '"one"'})
        server.serve("/here.zip", cut, Answer(GOOD, ranges=True, headers={"ETag": '"one"'}))
        mirror = f"mirror='{server.url.replace('//', '//me:geheim@')}/'"
        archives = "dataset.set5.archives=[[{url: 'http://127.0.0.1:9/here.zip'}]]"
        words = (
            "dataset=set5",
            SIZES,
            f"paths.data_dir={tmp_path / 'data'}",
            archives,
            mirror,
            *QUICK,
        )
        done = command("prepare", *words)
        assert done.code == 0, done.err
        assert server.asked[1][1] is not None  # the rest only: the note of the first half counts
    assert "geheim" not in done.out + done.err
    assert b"geheim" not in _contents(tmp_path)


def test_an_archive_of_another_set_is_not_kept_and_used_again(tmp_path: Path) -> None:
    archives = "dataset.set5.count=4"
    with FlakyServer() as server:
        server.serve("/set5.zip", Answer(GOOD))
        given = f"dataset.set5.archives=[[{{url: '{server.url}/set5.zip'}}]]"
        with pytest.raises(DataError, match="set5 has 4 images, and no known layout"):
            prepare_set5(tmp_path / "data", given, archives, *QUICK)
        assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]


def test_a_download_of_unknown_size_is_bounded(tmp_path: Path) -> None:
    with FlakyServer() as server:
        server.serve("/set5.zip", Answer(b"x" * 300_000, length=-1))
        given = f"dataset.set5.archives=[[{{url: '{server.url}/set5.zip'}}]]"
        with pytest.raises(DataError, match=r"sent more than the 100,000 bytes.*limits\.total_gb"):
            prepare_set5(tmp_path / "data", given, "limits.total_gb=1e-4", *QUICK)
        assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
