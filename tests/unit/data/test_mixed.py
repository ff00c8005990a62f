"""Sets with shares: exactly met, the same for any worker; small images left out with one line."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from src.core.errors import ConfigError, DataError
from src.data.datamodule import RestorationData
from src.data.datasets.synthetic import Synthetic
from src.data.patches import TrainingPatches
from src.data.samplers import set_of_sample
from src.data.several import MixedSources
from tests.support.images import pixels, write, write_folder


def mixed(tmp_path: Path) -> RestorationData:
    for index, name in enumerate("ab"):
        write_folder(tmp_path / name, 3 + index, seed=index)
    sets = {"a": {"dir": tmp_path / "a", "share": 2}, "b": {"dir": tmp_path / "b", "share": 0.5}}
    return RestorationData(train=sets, patch_size=8, cache="off", workers=0)


def test_shares_are_met_exactly_over_ten_thousand_samples() -> None:
    drawn = [set_of_sample(number, shares=(7, 2, 1), seed=3) for number in range(10_000)]
    assert Counter(which for which, _ in drawn) == {0: 7000, 1: 2000, 2: 1000}
    for which in range(3):  # a set's own samples are numbered without a gap
        assert [n for w, n in drawn if w == which] == list(range(1000 * (7, 2, 1)[which]))
    for start in range(0, 10_000, 10):
        assert Counter(w for w, _ in drawn[start : start + 10]) == {0: 7, 1: 2, 2: 1}


def test_each_image_of_a_set_comes_as_often_as_the_others_of_it(tmp_path: Path) -> None:
    patches = mixed(tmp_path).train_dataloader().dataset
    assert isinstance(patches, TrainingPatches)
    keys = Counter(patches[number]["key"] for number in range(60))
    assert keys == {f"a__{n}": 16 for n in "abc"} | {f"b__{n}": 3 for n in "abcd"}
    again = mixed(tmp_path).train_dataloader().dataset
    assert [patches[n]["key"] for n in range(20)] == [again[n]["key"] for n in range(20)]


def test_fractions_become_whole_numbers_and_a_set_may_be_any_source(tmp_path: Path) -> None:
    sets = {
        "a": {"source": Synthetic(count=2, size=16), "share": 0.3},
        "b": {"source": Synthetic(count=2, size=16, seed=1), "share": 0.7},
    }
    source = MixedSources(sets)
    assert source.shares == {"a": 3, "b": 7}
    assert next(iter(source.items())) == "a__synthetic_0"


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ({}, "give sets"),
        ({"a": "photos"}, "a set is"),
        ({"a": {"folder": "photos"}}, "a set is"),
        ({"a__b": {"dir": "photos"}}, "a set is"),
        ({"a": {"dir": "photos", "share": 0}}, "above 0"),
        ({"a": {"share": 1}}, "give dir"),
        ({"a": {"dir": "x", "share": 1}, "b": {"dir": "y", "share": 0.12345}}, "simple ratio"),
    ],
)
def test_what_is_no_mixture_is_refused(sets: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        MixedSources(sets)


def test_small_images_are_left_out_with_one_line_that_counts_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = mixed(tmp_path)
    for index in range(5):
        write(tmp_path / f"a/small{index}.png", pixels(7, 30))
    with caplog.at_level(logging.WARNING):
        data.setup("fit")
    (line,) = [r.getMessage() for r in caplog.records if "smaller than" in r.getMessage()]
    assert line.startswith("5 of the 12 images")
    assert "a__small0, a__small1, a__small2…" in line


def test_a_set_with_small_images_alone_is_refused(tmp_path: Path) -> None:
    data = mixed(tmp_path)
    for path in (tmp_path / "b").iterdir():
        write(path, pixels(7, 30))
    with pytest.raises(DataError, match="one set has no image to train on"):
        data.train_dataloader()
