import os
from pathlib import Path

import pytest

from src.core.files import LONGEST, fitting_name, replacing

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
