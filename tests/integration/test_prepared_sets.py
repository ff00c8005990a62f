"""Prepared sets are what data=… and evaluations read."""

import shutil
from pathlib import Path

import pytest

from src.core.errors import DataError
from src.data.prepared import PreparedSet, prepared_folder
from tests.support.images import write_folder
from tests.support.prepared import prepare_set5


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of five images."""
    return write_folder(tmp_path / "copy", 5)


def test_prepared_sets_are_a_source_of_images(source: Path, tmp_path: Path) -> None:
    prepare_set5(tmp_path / "data", f"source={source}")
    images = PreparedSet(name="set5", data_dir=tmp_path / "data", first=2).items()
    assert list(images) == ["a", "b"]
    assert images["a"].load(3).shape == (20, 24, 3)


def test_a_set_that_is_not_prepared_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"python -m src\.prepare dataset=set5"):
        PreparedSet(name="set5", data_dir=tmp_path).items()
    with pytest.raises(DataError, match="Did you mean set5"):
        prepared_folder(tmp_path, "sett5")
    with pytest.raises(DataError, match=r"sett5 does not exist, which is named as a set of images"):
        prepared_folder(tmp_path, "data/sett5")
    with pytest.raises(DataError, match="stands for several image sets"):
        prepared_folder(tmp_path, "df2k")


def test_images_of_one_name_in_two_sets_are_refused(source: Path, tmp_path: Path) -> None:
    prepare_set5(tmp_path, f"source={source}")
    shutil.copytree(tmp_path / "set5", tmp_path / "classic5")
    with pytest.raises(DataError, match="several sets hold a, b, c"):
        PreparedSet(name=["set5", "classic5"], data_dir=tmp_path).items()
