from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.data.image_io import read_image
from tests.support.images import pixels, write, write_folder
from tests.support.runs import Finished, command


def _predict(checkpoint: Path, source: Path | str, output: Path, *words: str) -> Finished:
    return command(
        "predict", f"checkpoint={checkpoint}", f'input="{source}"', f"output={output}", *words
    )


def _restored(checkpoint: Path, source: Path | str, output: Path, *words: str) -> set[str]:
    done = _predict(checkpoint, source, output, *words)
    assert done.code == 0, done.err
    return {str(file.relative_to(output)) for file in output.rglob("*") if file.is_file()}


def test_one_file_becomes_one_png(trained: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "a.jpg", pixels())
    assert _restored(trained, source, tmp_path / "out") == {"a.png"}
    assert read_image(tmp_path / "out/a.png", channels=3).shape == (20, 24, 3)


def test_a_folder_keeps_its_sub_folders(trained: Path, tmp_path: Path) -> None:
    write(tmp_path / "in/a.png", pixels())
    write(tmp_path / "in/sub/a.bmp", pixels())
    assert _restored(trained, tmp_path / "in", tmp_path / "out") == {"a.png", "sub/a.png"}


def test_relative_names_start_where_the_user_is(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "in/sub/a.png", pixels())
    monkeypatch.chdir(tmp_path)
    assert _restored(trained, "in", tmp_path / "folder") == {"sub/a.png"}
    assert _restored(trained, "in/sub/a.png", tmp_path / "file") == {"a.png"}
    assert _restored(trained, "in/**/*.png", tmp_path / "glob") == {"sub/a.png"}


def test_a_glob_takes_what_it_matches(trained: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "in", 3)
    write(tmp_path / "in/d.bmp", pixels())
    names = _restored(trained, tmp_path / "in/*.png", tmp_path / "out")
    assert names == {"a.png", "b.png", "c.png"}


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 2), (13, 21), (131, 17)])
def test_every_size_keeps_its_size(trained: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    source = write(tmp_path / "a.png", pixels(*size))
    _restored(trained, source, tmp_path / "out")
    assert read_image(tmp_path / "out/a.png", channels=3).shape == (*size, 3)


def _modes() -> dict[str, Image.Image]:
    colour = Image.fromarray(pixels())
    wide = np.arange(20 * 24, dtype=np.uint16).reshape(20, 24) * 100
    return {
        "grey.png": colour.convert("L"),
        "rgba.png": colour.convert("RGBA"),
        "palette.png": colour.quantize(8),
        "wide.png": Image.fromarray(wide),
        "cmyk.tif": colour.convert("CMYK"),
        "bilevel.png": colour.convert("1"),
    }


@pytest.mark.parametrize("name", _modes())
def test_every_kind_of_image_is_restored_in_colour(
    trained: Path, tmp_path: Path, name: str
) -> None:
    _modes()[name].save(tmp_path / name)
    _restored(trained, tmp_path / name, tmp_path / "out")
    with Image.open((tmp_path / "out" / name).with_suffix(".png")) as image:
        assert (image.mode, image.size) == ("RGB", (24, 20))


def test_the_same_image_is_restored_alike_alone_and_among_others(
    trained: Path, tmp_path: Path
) -> None:
    write_folder(tmp_path / "in", 3)
    _restored(trained, tmp_path / "in", tmp_path / "many")
    _restored(trained, tmp_path / "in/b.png", tmp_path / "one")
    assert (tmp_path / "many/b.png").read_bytes() == (tmp_path / "one/b.png").read_bytes()


def test_an_unreadable_image_stops_at_once_and_is_named(trained: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "in", 1)
    (tmp_path / "in/broken.png").write_bytes(b"no image")
    done = _predict(trained, tmp_path / "in", tmp_path / "out")
    assert done.code == 1
    assert "broken.png: is not an image" in done.err


def test_an_unreadable_image_is_skipped_only_when_told(trained: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "in", 2)
    (tmp_path / "in/broken.png").write_bytes(b"no image")
    done = _predict(trained, tmp_path / "in", tmp_path / "out", "on_error=skip")
    assert done.code == 0
    assert "skipped" in done.err
    assert "broken.png" in done.err
    assert "2 restored" in done.err
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]


def test_results_are_replaced_only_when_told(trained: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "a.png", pixels())
    write(tmp_path / "out/a.png", pixels(3, 3))
    before = (tmp_path / "out/a.png").read_bytes()
    done = _predict(trained, source, tmp_path / "out")
    assert done.code == 1
    assert "exists already; set overwrite=true" in done.err
    assert (tmp_path / "out/a.png").read_bytes() == before
    _restored(trained, source, tmp_path / "out", "overwrite=true")
    assert (tmp_path / "out/a.png").read_bytes() != before


@pytest.mark.parametrize("name", ["a.png", "*.png"])
def test_an_input_is_never_its_own_output(trained: Path, tmp_path: Path, name: str) -> None:
    source = write(tmp_path / "a.png", pixels())
    before = source.read_bytes()
    done = _predict(trained, tmp_path / name, tmp_path, "overwrite=true")
    assert done.code == 1
    assert "would replace its own input" in done.err
    assert source.read_bytes() == before


def test_results_inside_the_input_folder_are_not_restored_again(
    trained: Path, tmp_path: Path
) -> None:
    write_folder(tmp_path / "in", 2)
    output = tmp_path / "in/restored"
    first = _restored(trained, tmp_path / "in", output)
    second = _restored(trained, tmp_path / "in", output, "overwrite=true")
    assert first == second == {"a.png", "b.png"}


def test_two_images_that_would_share_a_result_are_refused(trained: Path, tmp_path: Path) -> None:
    write(tmp_path / "in/a.png", pixels())
    write(tmp_path / "in/a.bmp", pixels(seed=1))
    done = _predict(trained, tmp_path / "in", tmp_path / "out")
    assert done.code == 1
    assert "would both become" in done.err
    assert not (tmp_path / "out").exists()


def test_tiles_and_ensemble_are_taken_from_the_command_line(trained: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "a.png", pixels(40, 50))
    _restored(trained, source, tmp_path / "plain")
    _restored(trained, source, tmp_path / "tiled", "inference.tile=24", "inference.overlap=8")
    _restored(trained, source, tmp_path / "ensemble", "inference.ensemble=true")
    results = {(tmp_path / name / "a.png").read_bytes() for name in ("plain", "tiled", "ensemble")}
    assert len(results) == 3
