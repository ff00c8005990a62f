"""`src.explain`: where attention looks, as a picture and as numbers, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from src.commands.explain import command as explain
from src.data.image_io import read_image, write_png
from tests.support.images import pixels, write
from tests.support.runs import Finished, command


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return write(tmp_path / "photo.png", pixels(24, 40))


def _explain(checkpoint: Path, source: Path, *words: str) -> Finished:
    return command("explain", f"checkpoint={checkpoint}", f"input={source}", *words)


@pytest.mark.long
def test_a_picture_lies_beside_the_image_and_numbers_are_printed(
    trained: Path, photo: Path
) -> None:
    done = _explain(trained, photo, "point=30,10")
    assert done.code == 0, done.err
    picture = read_image(photo.with_name("photo_attention_30_10.png"), channels=3)
    assert picture.shape[1] > 2 * 640
    assert "Block       trunk.1, the only one with attention" in done.err
    assert "Point       30,10:" in done.err
    assert "effective keys of" in done.err
    assert "×0.6" in done.err


@pytest.mark.long
def test_several_points_are_several_rows(trained: Path, photo: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    _explain(trained, photo, "point=[3,4]", f"output={one}")
    done = _explain(trained, photo, "point=[[3,4],[39,23]]", f"output={two}")
    assert done.code == 0, done.err
    alone, both = (read_image(file, channels=3) for file in (one, two))
    assert len(both) > 2 * len(alone) - 1
    assert np.array_equal(both[: len(alone), : alone.shape[1]], alone)


@pytest.mark.long
def test_means_over_random_points_are_written_the_same_twice(trained: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_png(tmp_path / f"in/{name}.png", pixels(20, 24))
    for name in ("one.json", "two.json"):
        done = _explain(trained, tmp_path / "in", "queries=3", f"output={tmp_path / name}")
        assert done.code == 0, done.err
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    content = json.loads((tmp_path / "one.json").read_text())
    block = content["blocks"]["trunk.1"]
    assert set(block["images"]) == {"a", "b"}
    assert sum(block["mean"]["levels"]) == pytest.approx(1, abs=1e-5)
    assert block["mean"]["effective_keys"] > 1
    assert len(content["sha256"]) == 64


def test_a_window_bounds_where_attention_looks(trained: Path, photo: Path) -> None:
    done = _explain(trained, photo, "point=30,10", "inference.window=3", "near=6")
    assert done.code == 0, done.err
    assert "100.0% of the weight within 6 pixels" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("point=40,3",), "which has 40×24 pixels: x is 0 to 39, y is 0 to 23"),
        (("point=-1,3",), "point=-1,3 is outside"),
        (("module=trunk.7",), "Did you mean trunk.1?"),
        (("attention=channel",), "ChannelAttention"),
        (("point=[[1,2],3]",), "point"),
        (("input=nowhere.png",), "no such file or folder"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(
    trained: Path, photo: Path, words: tuple[str, ...], said: str
) -> None:
    done = _explain(trained, photo, *words)
    assert done.code in {1, 2}
    assert said in done.err
    assert "Traceback" not in done.err
    assert [file.name for file in photo.parent.iterdir()] == ["photo.png"]


def test_a_network_without_attention_is_refused_with_what_to_do(photo: Path) -> None:
    done = command("explain", "checkpoint=zoo/denoise", f"input={photo}")
    assert done.code == 2
    assert "has no attention that weighs places" in done.err
    assert "python -m src.train model=panet_tiny" in done.err


@pytest.mark.long
def test_a_result_that_is_there_stays(trained: Path, photo: Path) -> None:
    there = photo.with_name("photo_attention_20_12.png")
    there.write_bytes(b"mine")
    done = _explain(trained, photo)
    assert done.code == 1
    assert "overwrite=true" in done.err
    assert there.read_bytes() == b"mine"
    assert _explain(trained, photo, "overwrite=true").code == 0
    assert there.read_bytes() != b"mine"


@pytest.mark.long
def test_means_are_the_same_where_memory_holds_one_map_at_a_time(
    trained: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    looks = explain.looks
    monkeypatch.setattr(explain, "looks", lambda *all: passes.append(len(all[-1])) or looks(*all))
    written = []
    for held in (explain._HELD, 1):
        monkeypatch.setattr(explain, "_HELD", held)
        done = _explain(
            trained, photo, "queries=3", f"output={tmp_path / 'a.json'}", "overwrite=true"
        )
        assert done.code == 0, done.err
        written.append((tmp_path / "a.json").read_bytes())
    assert passes == [3, 1, 1, 1]
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("queries=10001", "queries=10001 is not possible; it is 0 to 10000."),
        ("strongest=101", "strongest=101 is not possible; it is 0 to 100."),
        (f"point=[{','.join(['[1,2]'] * 21)}]", "names 21 points; a picture has room for 20."),
    ],
    ids=["queries", "strongest", "points"],
)
def test_more_than_memory_may_hold_is_refused_with_what_is_allowed(word: str, said: str) -> None:
    done = command("explain", "checkpoint=nowhere", "input=nothing.png", word)
    assert done.code == 2
    assert said in done.err


@pytest.mark.parametrize("word", ["strongest=-1", "near=-1", "queries=-1", "point=[]"])
def test_a_number_that_cannot_be_is_refused(word: str) -> None:
    done = command("explain", "checkpoint=nowhere", "input=nothing.png", word)
    assert done.code == 2
    assert f"{word} " in done.err
