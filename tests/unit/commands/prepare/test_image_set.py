"""The images of a set are found in every usual archive, as it was unpacked or not."""

from pathlib import PurePosixPath

import pytest

from src.commands.prepare.image_set import all_sets, choose, is_image, matches
from src.core.errors import DataError

SETS = {one.name: one for one in all_sets()}


def _numbers(first: int, last: int) -> list[str]:
    return [f"{number:04}.png" for number in range(first, last + 1)]


def _under(folder: str, names: list[str]) -> list[str]:
    return [f"{folder}/{name}" for name in names]


FIVE = ["baby.png", "bird.png", "butterfly.png", "head.png", "woman.png"]
BENCHMARK = [
    *_under("benchmark/Set5/HR", FIVE),
    *_under("benchmark/Set5/LR_bicubic/X2", [name.replace(".", "x2.") for name in FIVE]),
    *_under("benchmark/Set14/HR", [f"{n}.png" for n in range(14)]),
    *_under("benchmark/B100/HR", [f"{n}.png" for n in range(100)]),
    *_under("benchmark/Urban100/HR", [f"img{n}.png" for n in range(100)]),
]
SRF = [f"Set5/image_SRF_2/img_00{n}_SRF_2_{kind}.png" for n in range(1, 6) for kind in ["HR", "LR"]]
IDS = [f"{n}.jpg" for n in range(199)]
BSR = "BSR/BSDS500/data/images"
BSDS = [
    *_under(f"{BSR}/train", ["302003.jpg", *IDS]),
    *_under(f"{BSR}/test", [f"1{n:04}.jpg" for n in range(200)]),
    *_under(f"{BSR}/val", [f"2{n:04}.jpg" for n in range(100)]),
    f"{BSR}/train/Thumbs.db",
]
KODAK = [f"kodim{n:02}.png" for n in range(1, 25)]
FFDNET = [
    *_under("FFDNet-master/testsets/Kodak24", KODAK),
    *_under("FFDNet-master/testsets/CBSD68", [f"{n}.png" for n in range(68)]),
    *_under("FFDNet-master/testsets/McMaster", [f"{n}.tif" for n in range(1, 19)]),
    "FFDNet-master/utilities/logo.png",
]
LIVE = [f"live{n}.bmp" for n in range(29)]

USUAL = [
    ("set5", BENCHMARK, "benchmark/Set5/HR", 5),
    ("set14", BENCHMARK, "benchmark/Set14/HR", 14),
    ("bsd100", BENCHMARK, "benchmark/B100/HR", 100),
    ("urban100", BENCHMARK, "benchmark/Urban100/HR", 100),
    ("set5", _under("Set5/GTmod12", FIVE), "Set5/GTmod12", 5),
    ("set5", _under("Set5_HR", FIVE), "Set5_HR", 5),
    ("set5", SRF, "Set5/image_SRF_2", 5),
    ("set5", _under("anything", FIVE), "anything", 5),
    ("set5", [*_under("x/HR", FIVE), *_under("x/LR", FIVE)], "x/HR", 5),
    ("div2k", _under("DIV2K_train_HR", _numbers(1, 800)), "DIV2K_train_HR", 800),
    ("div2k", _under("DIV2K/DIV2K_train_HR", _numbers(1, 900)), "DIV2K/DIV2K_train_HR", 800),
    ("div2k_valid", _under("DIV2K/DIV2K_train_HR", _numbers(1, 900)), "DIV2K/DIV2K_train_HR", 100),
    ("div2k_valid", _under("DIV2K_valid_HR", _numbers(801, 900)), "DIV2K_valid_HR", 100),
    (
        "flickr2k",
        _under("Flickr2K/Flickr2K_HR", [f"{n:06}.png" for n in range(2650)]),
        "Flickr2K/Flickr2K_HR",
        2650,
    ),
    ("bsds500", BSDS, BSR, 399),
    (
        "wed",
        _under(
            "exploration_database_and_code/pristine_images", [f"{n:05}.bmp" for n in range(4744)]
        ),
        "exploration_database_and_code/pristine_images",
        4744,
    ),
    ("kodak24", KODAK, ".", 24),
    ("kodak24_cropped", FFDNET, "FFDNet-master/testsets/Kodak24", 24),
    ("cbsd68", FFDNET, "FFDNet-master/testsets/CBSD68", 68),
    ("mcmaster18", FFDNET, "FFDNet-master/testsets/McMaster", 18),
    ("mcmaster18", _under("McM18", [f"{n}.png" for n in range(1, 19)]), "McM18", 18),
    ("live1", _under("databaserelease2/refimgs", LIVE), "databaserelease2/refimgs", 29),
    ("live1", _under("DnCNN-master/testsets/LIVE1", LIVE), "DnCNN-master/testsets/LIVE1", 29),
    (
        "classic5",
        _under(
            "DnCNN-master/testsets/classic5",
            ["baboon.bmp", "barbara.bmp", "boats.bmp", "lena.bmp", "peppers.bmp"],
        ),
        "DnCNN-master/testsets/classic5",
        5,
    ),
    (
        "manga109",
        _under("benchmark/Manga109/HR", [f"{n}.png" for n in range(109)]),
        "benchmark/Manga109/HR",
        109,
    ),
]


@pytest.mark.parametrize(
    ("name", "paths", "folder", "count"), USUAL, ids=[f"{row[0]} in {row[2]}" for row in USUAL]
)
def test_a_usual_archive_is_understood_as_it_is(
    name: str, paths: list[str], folder: str, count: int
) -> None:
    found = choose(paths, SETS[name], partial=False)
    assert len(found) == count
    assert all(PurePosixPath(path).is_relative_to(folder) for path in found)


def test_of_bsds500_the_val_part_and_the_image_of_set5_are_left_out() -> None:
    found = choose(BSDS, SETS["bsds500"], partial=False)
    assert not [path for path in found if "/val/" in path or "302003" in path]


def test_what_only_looks_like_an_image_is_passed_over() -> None:
    junk = ["__MACOSX/Set5/baby.png", "Set5/._baby.png", ".git/a.png", "Set5/notes.txt"]
    assert not any(is_image(path) for path in junk)
    assert is_image("Set5/BABY.PNG")


def test_a_pattern_is_like_the_end_of_a_path_whatever_the_case() -> None:
    assert matches("a/SET5/hr/baby.png", "Set5/HR/*")
    assert not matches("Set5/HR/x/baby.png", "Set5/HR/*")


def test_too_few_images_are_refused_with_what_was_found() -> None:
    with pytest.raises(DataError, match=r"set5 has 5 images.*Set5/HR/\*: 4"):
        choose(_under("Set5/HR", FIVE[1:]), SETS["set5"], partial=False)


def test_too_few_images_do_where_that_is_asked_for() -> None:
    assert len(choose(_under("Set5/HR", FIVE[1:]), SETS["set5"], partial=True)) == 4


def test_two_images_of_one_name_are_refused() -> None:
    twins = [*_under("x/a", FIVE[:3]), *_under("x/b", FIVE[2:4])]
    with pytest.raises(DataError, match=r"x/a/butterfly.png and x/b/butterfly.png"):
        choose(twins, SETS["set5"], partial=False)


def test_urban100_of_its_makers_is_the_images_of_full_size() -> None:
    checkout = [
        f"data/Urban100/image_SRF_{scale}/img_{number:03d}_SRF_{scale}_{kind}.png"
        for scale in (2, 4)
        for number in range(1, 101)
        for kind in ("HR", "LR", "bicubic")
    ]
    (folder,) = {path.split("/")[2] for path in choose(checkout, SETS["urban100"], partial=False)}
    assert folder == "image_SRF_4"
    inside = [path.rpartition("/")[2] for path in checkout if "SRF_4/" in path]
    assert len(choose(inside, SETS["urban100"], partial=False)) == 100
    with pytest.raises(DataError, match="urban100 has 100 images"):
        choose([path for path in checkout if "SRF_2/" in path], SETS["urban100"], partial=False)
