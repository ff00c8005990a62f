"""The limit against decompression bombs can be set and lifted."""

from pathlib import Path

import pytest

from src.commands.prepare.pixels import header
from src.core.errors import ConfigError, ImageFileError
from src.data.image_io import read_image
from src.data.pixel_limit import DEFAULT, VARIABLE, apply_pixel_limit
from tests.support.images import pixels, write


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", DEFAULT // 2)


def test_an_image_above_the_limit_is_refused_and_the_switch_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "a.png", pixels(20, 24))
    monkeypatch.setenv(VARIABLE, "479")
    with pytest.raises(ImageFileError, match=r"too large.*EXEMPLAR_MAX_PIXELS=<pixels>"):
        read_image(file, channels=3)
    with pytest.raises(ImageFileError, match=r"too large.*EXEMPLAR_MAX_PIXELS=<pixels>"):
        header(file.read_bytes(), file)


@pytest.mark.parametrize("limit", ["960", "0"])
def test_a_higher_limit_or_none_lets_it_through(
    limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "a.png", pixels(20, 24))
    monkeypatch.setenv(VARIABLE, limit)
    assert read_image(file, channels=3).shape == (20, 24, 3)


def test_without_the_switch_the_limit_is_179_million_pixels() -> None:
    assert apply_pixel_limit() == 178_956_970


@pytest.mark.parametrize("text", ["many", "-1", "1e9", ""])
def test_what_is_no_number_of_pixels_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ConfigError, match="whole number of pixels"):
        apply_pixel_limit()
