import io
import os
from pathlib import Path

import pytest

from src.core.paths import ROOT
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


def test_one_file_becomes_one_file_of_its_format(trained: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "a.jpg", pixels())
    assert _restored(trained, source, tmp_path / "out") == {"a.jpg"}
    assert read_image(tmp_path / "out/a.jpg", channels=3).shape == (20, 24, 3)


def test_a_folder_keeps_its_sub_folders(trained: Path, tmp_path: Path) -> None:
    write(tmp_path / "in/a.png", pixels())
    write(tmp_path / "in/sub/a.bmp", pixels())
    assert _restored(trained, tmp_path / "in", tmp_path / "out") == {"a.png", "sub/a.bmp"}


@pytest.mark.long
def test_relative_names_start_where_the_user_is(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "in/sub/a.png", pixels())
    monkeypatch.chdir(tmp_path)
    assert _restored(trained, "in", tmp_path / "folder") == {"sub/a.png"}
    assert _restored(trained, "in/sub/a.png", tmp_path / "file") == {"a.png"}
    assert _restored(trained, "in/**/*.png", tmp_path / "glob") == {"sub/a.png"}
    _predict(trained, "in", Path("out"))  # and so do results
    assert (tmp_path / "out/sub/a.png").is_file()
    assert not (ROOT / "out").exists()


def test_a_glob_takes_what_it_matches(trained: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "in", 3)
    write(tmp_path / "in/d.bmp", pixels())
    names = _restored(trained, tmp_path / "in/*.png", tmp_path / "out")
    assert names == {"a.png", "b.png", "c.png"}


@pytest.mark.long
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 2), (13, 21), (131, 17)])
def test_every_size_keeps_its_size(trained: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    source = write(tmp_path / "a.png", pixels(*size))
    _restored(trained, source, tmp_path / "out")
    assert read_image(tmp_path / "out/a.png", channels=3).shape == (*size, 3)


@pytest.mark.long
def test_the_same_image_is_restored_alike_alone_and_among_others(
    trained: Path, tmp_path: Path
) -> None:
    write_folder(tmp_path / "in", 3)
    _restored(trained, tmp_path / "in", tmp_path / "many")
    _restored(trained, tmp_path / "in/b.png", tmp_path / "one")
    assert (tmp_path / "many/b.png").read_bytes() == (tmp_path / "one/b.png").read_bytes()


@pytest.mark.long
def test_a_bad_file_in_the_middle_is_named_when_the_others_are_done(
    trained: Path, tmp_path: Path
) -> None:
    write_folder(tmp_path / "in", 3)  # a, b, c
    (tmp_path / "in/bb.png").write_bytes(b"no image")
    whole = (tmp_path / "in/b.png").read_bytes()
    (tmp_path / "in/cut.png").write_bytes(whole[: len(whole) // 2])  # its header is whole
    done = _predict(trained, tmp_path / "in", tmp_path / "out")
    assert done.code == 1
    assert "bb.png: is not an image" in done.err
    assert "cut.png: is damaged" in done.err
    assert "2 of 5 images could not be restored, 3 were" in done.err
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"a.png", "b.png", "c.png"}
    times = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir()}
    for name in ("bb", "cut"):
        write(tmp_path / f"in/{name}.png", pixels())
    again = _predict(trained, tmp_path / "in", tmp_path / "out")
    assert again.code == 0
    assert "3 of 5 results are there already and stay" in again.err
    assert "2 restored" in again.err
    assert times == {file: file.stat().st_mtime_ns for file in times}


@pytest.mark.long
def test_what_came_from_standard_input_is_called_so(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"no image")))
    refused = _predict(trained, "-", tmp_path / "a.png")
    assert refused.code == 1
    assert "  standard input: " in refused.err


@pytest.mark.long
def test_an_unreadable_image_is_skipped_only_when_told(trained: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "in", 2)
    (tmp_path / "in/broken.png").write_bytes(b"no image")
    done = _predict(trained, tmp_path / "in", tmp_path / "out", "on_error=skip")
    assert done.code == 0
    assert "skipped" in done.err
    assert "broken.png" in done.err
    assert "2 restored" in done.err
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]


@pytest.mark.long
@pytest.mark.parametrize("word", ["overwrite=true", "existing=overwrite"])
def test_results_are_replaced_only_when_told(trained: Path, tmp_path: Path, word: str) -> None:
    source = write(tmp_path / "a.png", pixels())
    write(tmp_path / "out/a.png", pixels(3, 3))
    before = (tmp_path / "out/a.png").read_bytes()
    done = _predict(trained, source, tmp_path / "out")
    assert done.code == 0
    assert "1 of 1 results are there already and stay; existing=overwrite" in done.err
    assert (tmp_path / "out/a.png").read_bytes() == before
    done = _predict(trained, source, tmp_path / "out", "existing=refuse")
    assert done.code == 1
    assert "exists already (in all 1 of 1); set existing=skip" in done.err
    assert (tmp_path / "out/a.png").read_bytes() == before
    _restored(trained, source, tmp_path / "out", word)
    assert (tmp_path / "out/a.png").read_bytes() != before


@pytest.mark.parametrize("name", ["a.png", "*.png"])
def test_an_input_is_never_its_own_output(trained: Path, tmp_path: Path, name: str) -> None:
    source = write(tmp_path / "a.png", pixels())
    before = source.read_bytes()
    done = _predict(trained, tmp_path / name, tmp_path, "overwrite=true")
    assert done.code == 1
    assert "would replace its own input" in done.err
    assert source.read_bytes() == before


@pytest.mark.long
def test_results_inside_the_input_folder_are_not_restored_again(
    trained: Path, tmp_path: Path
) -> None:
    write_folder(tmp_path / "in", 2)
    output = tmp_path / "in/restored"
    first = _restored(trained, tmp_path / "in", output)
    second = _restored(trained, tmp_path / "in", output, "overwrite=true")
    assert first == second == {"a.png", "b.png"}


@pytest.mark.long
def test_images_that_would_share_a_result_get_names_that_tell_them_apart(
    trained: Path, tmp_path: Path
) -> None:
    write(tmp_path / "in/a.png", pixels())
    write(tmp_path / "in/a.bmp", pixels(seed=1))
    write(tmp_path / "in/b.png", pixels(seed=2))
    assert _restored(trained, tmp_path / "in", tmp_path / "own") == {"a.png", "a.bmp", "b.png"}
    names = _restored(trained, tmp_path / "in", tmp_path / "out", "format=png")
    assert names == {"a.png.png", "a.bmp.png", "b.png"}
    assert len({(tmp_path / "out" / name).read_bytes() for name in names}) == 3


@pytest.mark.long
@pytest.mark.parametrize("typed", ["folder", "glob", "file"])
def test_a_name_that_is_not_utf_8_is_restored_and_shown_escaped(
    trained: Path, tmp_path: Path, typed: str
) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    write(tmp_path / "in" / name, pixels())
    source = {"folder": "in", "glob": "in/*.png", "file": f"in/{name}"}[typed]
    assert _restored(trained, tmp_path / source, tmp_path / "out") == {name}
    (tmp_path / "in" / name).write_bytes(b"no image")
    done = _predict(trained, tmp_path / source, tmp_path / "again")
    assert done.code == 1
    assert "caf\\xe9.png: is not an image" in done.err


@pytest.mark.parametrize("stem", ["é" * 120, "𠮷" * 60, "a" * 251], ids=["2", "4", "1"])
def test_the_longest_names_are_restored(trained: Path, tmp_path: Path, stem: str) -> None:
    write(tmp_path / f"in/{stem}.bmp", pixels())
    write(tmp_path / f"in/{stem}.png", pixels(seed=1))  # the results' names are longer still
    assert len(_restored(trained, tmp_path / "in", tmp_path / "out")) == 2


def test_brackets_in_a_path_are_shown_as_they_are(trained: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "[bold]in[/red] :cat:/a.png", pixels())
    output = tmp_path / "[bold]out[/red] :cat:"
    done = _predict(trained, source, Path(f'"{output}"'))
    assert done.code == 0, done.err
    assert str(output) in done.err


@pytest.mark.long
def test_tiles_and_ensemble_are_taken_from_the_command_line(trained: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "a.png", pixels(40, 50))
    _restored(trained, source, tmp_path / "plain")
    _restored(trained, source, tmp_path / "tiled", "inference.tile=24", "inference.overlap=8")
    _restored(trained, source, tmp_path / "ensemble", "inference.ensemble=true")
    results = {(tmp_path / name / "a.png").read_bytes() for name in ("plain", "tiled", "ensemble")}
    assert len(results) == 3
