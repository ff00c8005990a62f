"""Image sets known by their pixels, whatever folder and names they have."""

import pytest

from src.data.prepared import doubt, identify, known_pixels

SET5 = dict(zip("abcde", sorted(known_pixels()["set5"]), strict=True))
OTHER = "24x20:0000000000000000"


def _doubt(name: str, pixels: dict[str, str]) -> str:
    return doubt(name, identify(name, pixels))


@pytest.mark.parametrize("name", ["set5", "Set5", "renamed"])
def test_images_of_a_set_are_known_under_whatever_names(name: str) -> None:
    assert identify(name, SET5)["known_as"] == "set5"
    assert _doubt(name, SET5) == ""


@pytest.mark.parametrize(
    ("name", "pixels", "foreign", "missing"),
    [
        ("set5", {**SET5, "a": OTHER}, ["a"], 1),
        ("set5", {**SET5, "f": SET5["b"]}, ["f"], 0),
        ("renamed", {**SET5, "f": SET5["b"]}, ["f"], 0),
        ("renamed", {**SET5, "e": OTHER}, ["e"], 1),
        ("set14", SET5, list("abcde"), 14),
    ],
    ids=["swapped", "twice", "twice, renamed", "swapped, renamed", "another set"],
)
def test_what_is_not_the_set_is_named(
    name: str, pixels: dict[str, str], foreign: list[str], missing: int
) -> None:
    about = identify(name, pixels)
    assert (about["known_as"] == name, about["foreign"], about["missing"]) == (
        False,
        foreign,
        missing,
    )
    assert "no published score compares" in _doubt(name, pixels)


def test_a_part_of_a_set_under_the_name_of_the_whole_is_in_doubt() -> None:
    part = {str(i): one for i, one in enumerate(sorted(known_pixels()["cbsd68"]))}
    assert identify("bsd100", part)["known_as"] == "cbsd68"
    assert "32 of it are missing" in _doubt("bsd100", part)


def test_a_set_whose_pixels_are_not_known_here_is_in_doubt() -> None:
    assert "not known here" in _doubt("bsd68", {"test001": OTHER})


def test_images_of_ones_own_are_in_no_doubt() -> None:
    assert _doubt("photos", {"a": OTHER, "b": SET5["a"]}) == ""
