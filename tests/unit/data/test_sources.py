import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from PIL import Image

from src.core.errors import ConfigError, DataError
from src.data.datasets.sample_photos import FOLDER, PHOTOS, SamplePhotos
from src.data.datasets.synthetic import Synthetic
from src.data.image_file import AVIF
from src.data.image_io import read_image
from src.data.source import ImageFolder, unique_keys
from tests.support.images import pixels, write, write_folder


def test_keys_are_stems_in_sorted_order(tmp_path: Path) -> None:
    paths = [tmp_path / "sub/b.png", tmp_path / "a.jpg"]
    assert list(unique_keys(paths, tmp_path)) == ["a", "b"]


def test_shared_stems_get_their_folder_and_then_their_extension(tmp_path: Path) -> None:
    names = ["x/1.png", "y/1.png", "y/1.jpg", "2.png"]
    keys = unique_keys([tmp_path / name for name in names], tmp_path)
    assert {key: path.relative_to(tmp_path).as_posix() for key, path in keys.items()} == {
        "2": "2.png", "x__1": "x/1.png", "y__1.jpg": "y/1.jpg", "y__1.png": "y/1.png",
    }  # fmt: skip


def test_no_file_is_lost_when_keys_cannot_be_made_unique(tmp_path: Path) -> None:
    names = ["a/b.png", "c/b.png", "a__b.png", "c/a__b.png"]
    keys = unique_keys([tmp_path / name for name in names[:3]], tmp_path)
    assert len(keys) == 3
    with pytest.raises(DataError, match="share a name"):
        unique_keys([tmp_path / name for name in names], tmp_path)


def test_keys_do_not_depend_on_how_the_machine_writes_accents(tmp_path: Path) -> None:
    assert list(unique_keys([tmp_path / "cafe\u0301.png"], tmp_path)) == ["caf\u00e9"]


def test_folder_is_searched_deeply_by_extension_and_without_hidden_files(tmp_path: Path) -> None:
    for name in ("a.png", "sub/deep/b.JPG", ".hidden.png", ".git/c.png"):
        write(tmp_path / name, pixels())
    (tmp_path / "notes.txt").touch()
    assert list(ImageFolder(tmp_path).files()) == ["a", "b"]


def test_pictures_of_other_kinds_are_counted_by_kind_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "a.png", pixels())
    Image.fromarray(pixels()).save(tmp_path / "phone.jfif")
    (tmp_path / "z.avif").touch()
    for name in ("b.HEIC", "sub/c.heic", "d.cr2", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for _ in range(2):
        assert list(ImageFolder(tmp_path).files()) == ["a", "phone", *("z" * AVIF)]
    others = "2 .heic, 1 .cr2" if AVIF else "2 .heic, 1 .cr2, 1 .avif"
    said = f"left out of {tmp_path}: {others}, which are not read; convert them to PNG"
    assert caplog.messages == [said]


@contextmanager
def _without_rights() -> Iterator[None]:
    """Be nobody where this is root, who reads every folder."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_folders_that_cannot_be_read_are_named(caplog: pytest.LogCaptureFixture) -> None:
    # Not below pytest's own folder, which nobody else may enter.
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        write(folder / "a.png", pixels())
        closed = write(folder / "closed/b.png", pixels()).parent
        closed.chmod(0)
        with _without_rights():
            assert list(ImageFolder(folder).files()) == ["a"]
        assert f"folders not readable: {closed}" in caplog.text
        closed.chmod(0o700)


def test_links_that_lead_nowhere_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "a.png", pixels())
    (tmp_path / "b.png").symlink_to("gone.png")
    assert list(ImageFolder(tmp_path).files()) == ["a"]
    assert f"links that lead nowhere: {tmp_path / 'b.png'}" in caplog.text


def test_linked_folders_are_searched_once(tmp_path: Path) -> None:
    write_folder(tmp_path / "elsewhere", 1)
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    assert list(ImageFolder(root).files()) == ["a"]


def test_missing_folder_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=r"trian does not exist(.|\n)*folders: train"):
        ImageFolder(tmp_path / "trian").items()


def test_a_file_given_as_folder_is_said_to_be_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", pixels())
    with pytest.raises(DataError, match="is a file; a folder"):
        ImageFolder(path).items()


def test_folder_without_images_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.gif").touch()
    (tmp_path / "b.txt").touch()
    (tmp_path / "c.txt").touch()
    with pytest.raises(DataError, match=r"2 \.txt, 1 \.gif"):
        ImageFolder(tmp_path).items()


def test_sample_photos_are_colour_photographs_in_two_sets_that_share_none() -> None:
    train, val = (SamplePhotos(split).items() for split in ("train", "val"))
    assert list(val) == ["astronaut", "chelsea"]
    assert list(train) == ["coffee", "raccoon", "rocket"]
    assert not set(train) & set(val)
    for item in (*train.values(), *val.values()):
        image = item.load(3)
        assert min(image.shape[:2]) >= 256
        assert not np.array_equal(image[..., 0], image[..., 1])


@pytest.mark.parity
@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_sample_photos_have_the_pixels_of_scikit_images(name: str) -> None:
    folder = Path(pytest.importorskip("skimage").__file__).parent / "data"
    (original,) = folder.glob(f"{name}.*")
    photos = SamplePhotos("train").items() | SamplePhotos("val").items()
    assert np.array_equal(photos[name].load(3), read_image(original, channels=3))


def test_sample_photos_are_small_and_each_has_an_origin() -> None:
    files = [file for file in FOLDER.iterdir() if file.name != "ORIGIN.md"]
    named = (FOLDER / "ORIGIN.md").read_text(encoding="utf-8")
    assert {file.name for file in files} == {*PHOTOS["train"], *PHOTOS["val"]}
    assert all(f"`{file.name}`" in named for file in files)
    assert sum(file.stat().st_size for file in files) < 2_000_000


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean val\?"):
        SamplePhotos("valid")


def test_synthetic_images_are_repeatable_and_differ() -> None:
    first, again = (Synthetic(count=3, size=32, seed=0).items() for _ in range(2))
    images = [first[key].load(3) for key in first]
    assert all(np.array_equal(first[key].load(3), again[key].load(3)) for key in first)
    assert images[0].shape == (32, 32, 3)
    assert not np.array_equal(images[0], images[1])


def test_synthetic_images_can_be_luma() -> None:
    item = Synthetic(count=1, size=16).items()["synthetic_0"]
    assert item.load(1).shape == (16, 16, 1)


def test_a_name_that_would_forge_a_line_is_on_one(tmp_path: Path) -> None:
    write(tmp_path / "a\n[2026-01-01][INFO] - done\x1b[2K.png", pixels(20, 24))
    assert list(ImageFolder(tmp_path).items()) == ["a\\n[2026-01-01][INFO] - done\\x1b[2K"]
