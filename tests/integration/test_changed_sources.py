"""A run goes on with other images or other code only where that is meant, and notes it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from src.weights.checkpoint_file import KEY, read
from tests.support.compare import LAST, rows
from tests.support.images import pixels, write
from tests.support.runs import command, train_tiny

Change = Callable[[Path], object]


def _data(place: Path, cache: str) -> tuple[str, ...]:
    folders = (f"data.train_dir={place}/train", f"data.val_dir={place}/set")
    return ("data=folder", *folders, f"data.cache={cache}", f"data.cache_dir={place}/cache")


def _images(place: Path) -> Path:
    for name, size in (("train/a", 40), ("train/b", 44), ("set/c", 40)):
        write(place / f"{name}.png", pixels(size, 48))
    return place


CHANGES: dict[str, tuple[Change, str]] = {
    "added": (
        lambda place: write(place / "train/z.png", pixels(50, 48)),
        "images of train: 2 before, 3 now: some were added or removed",
    ),
    "removed": (
        lambda place: (place / "train/b.png").unlink(),
        "images of train: 2 before, 1 now: some were added or removed",
    ),
    "changed": (
        lambda place: write(place / "train/b.png", 255 - pixels(44, 48)),
        "images of train: 2 of the same names, and some have another content",
    ),
    "renamed": (
        lambda place: (place / "train/b.png").rename(place / "train/bb.png"),
        "images of train: 2 as before, of other names: some were renamed or replaced",
    ),
    "the validation set replaced": (
        lambda place: write(place / "set/c.png", pixels(44, 48)),
        "images of val/set: 1 of the same names, and some have another content",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("cache", ["on", "off"])
@pytest.mark.parametrize(("change", "says"), CHANGES.values(), ids=CHANGES)
def test_other_images_are_refused_until_they_are_meant(
    change: Change, says: str, cache: str, tmp_path: Path
) -> None:
    place, run = _images(tmp_path / "images"), tmp_path / "run"
    train_tiny(run, *_data(place, cache))
    before = rows(run)
    change(place)
    refused = command("train", f"resume={run}", "trainer.max_steps=3")
    assert refused.code == 2
    assert says in refused.err
    assert "accept_changes=true" in refused.err
    assert rows(run) == before
    assert not (run / "resumed.jsonl").exists()
    done = command("train", f"resume={run}", "trainer.max_steps=3", "accept_changes=true")
    assert done.code == 0, done.err
    assert json.loads((run / "resumed.jsonl").read_text())["changes"] == [says]
    again = command("train", f"resume={run}", "trainer.max_steps=4")
    assert again.code == 0, again.err  # the checkpoint now has the fingerprints of these


@pytest.mark.long
def test_images_elsewhere_of_the_same_names_and_contents_are_the_same(tmp_path: Path) -> None:
    place, run = _images(tmp_path / "images"), tmp_path / "run"
    train_tiny(run, *_data(place, "on"))
    other = Path(shutil.copytree(place, tmp_path / "elsewhere"))
    words = (*_data(other, "off")[1:], "trainer.max_steps=3")
    done = command("train", f"resume={run}", *words)
    assert done.code == 0, done.err
    assert json.loads((run / "resumed.jsonl").read_text())["changes"] == []


@pytest.mark.long
def test_other_code_is_refused_until_it_is_meant(run: Path) -> None:
    content = read(run / LAST)
    content[KEY] = {**content[KEY], "code": "0" * 16, "commit": "abc"}
    torch.save(content, run / LAST)
    refused = command("train", f"resume={run}", "trainer.max_steps=3")
    assert refused.code == 2
    assert "code: files of this package have changed (before" in refused.err
    assert "commit abc" in refused.err
    done = command("train", f"resume={run}", "trainer.max_steps=3", "accept_changes=true")
    assert done.code == 0, done.err
    assert "accept_changes" not in (run / "overrides.yaml").read_text()


@pytest.mark.long
def test_a_checkpoint_from_before_there_were_fingerprints_goes_on(run: Path) -> None:
    content = read(run / LAST)
    about = {key: value for key, value in content[KEY].items() if key not in {"code", "images"}}
    torch.save({**content, KEY: about}, run / LAST)
    done = command("train", f"resume={run}", "trainer.max_steps=3")
    assert done.code == 0, done.err
