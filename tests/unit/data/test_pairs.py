"""Inputs and targets of two folders: who belongs to whom, what is wrong, and aligned crops."""

from pathlib import Path

import numpy as np
import pytest
import torch

from src.core.errors import ConfigError, DataError
from src.data.datamodule import RestorationData
from src.data.opener import Opener
from src.data.pairs import PairFolders, PairItem
from src.data.patches import TrainingPatches
from src.data.samplers import Stages
from src.data.source import FileItem
from tests.support.images import pixels, write


def folders(tmp_path: Path, *pairs: tuple[str, str], scale: int = 1) -> tuple[Path, Path]:
    """Write files called (target, input), each pair of pixels of its own."""
    for index, (target, given) in enumerate(pairs):
        image = pixels(24 * scale, 32 * scale, seed=index)
        write(tmp_path / "targets" / target, image)
        write(tmp_path / "inputs" / given, np.ascontiguousarray(image[::scale, ::scale]))
    return tmp_path / "targets", tmp_path / "inputs"


def names(source: PairFolders) -> dict[str, str]:
    matched = {}
    for key, item in source.items().items():
        assert isinstance(item, PairItem), key
        assert isinstance(item.given, FileItem)
        matched[key] = str(item.given.path.relative_to(source.inputs.root))
    return matched


@pytest.mark.parametrize(
    ("target", "given", "scale"),
    [
        ("0001.png", "0001.png", 1),
        ("0001.png", "0001.bmp", 1),
        ("0001.png", "0001x4.png", 4),
        ("baby.png", "baby_x2.png", 2),
        ("img_001_SRF_4_HR.png", "img_001_SRF_4_LR.png", 4),
        ("a/0001_GT_SRGB_010.PNG", "a/0001_NOISY_SRGB_010.PNG", 1),
        ("scene1/sharp/7.png", "scene1/blur/7.png", 1),
        ("deep/er/1-clean.png", "deep/er/1-noisy.png", 1),
    ],
)
def test_files_belong_together_by_stem_and_usual_words(
    tmp_path: Path, target: str, given: str, scale: int
) -> None:
    written = folders(tmp_path, (target, given), ("other.png", "other.png"), scale=scale)
    matched = names(PairFolders(*written, scale=scale))
    assert given in matched.values()
    assert len(matched) == 2


def test_equal_stems_come_before_words(tmp_path: Path) -> None:
    written = folders(tmp_path, ("1.png", "1.png"), ("1_gt.png", "1_gt.png"))
    assert names(PairFolders(*written)) == {"1": "1.png", "1_gt": "1_gt.png"}


def test_one_folder_with_both_is_split_by_the_words_of_inputs(tmp_path: Path) -> None:
    for name in ("GT", "NOISY"):
        write(tmp_path / f"0001_S6/0001_{name}_SRGB_010.PNG", pixels())
    assert list(names(PairFolders(tmp_path, tmp_path)).values()) == [
        "0001_S6/0001_NOISY_SRGB_010.PNG"
    ]


def test_a_pattern_names_the_pair(tmp_path: Path) -> None:
    written = folders(
        tmp_path, ("scene7_day.png", "night-7.png"), ("scene8_day.png", "night-8.png")
    )
    source = PairFolders(*written, pattern=r"(\d+)")
    assert names(source) == {"scene7_day": "night-7.png", "scene8_day": "night-8.png"}
    with pytest.raises(ConfigError, match="no group"):
        PairFolders(*written, pattern="night")
    with pytest.raises(ConfigError, match=r"data\.pattern"):
        PairFolders(*written, pattern="(")


def test_all_mistakes_are_listed_at_once_with_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = [(f"{index}.png", f"{index}.png") for index in range(3)]
    targets, inputs = folders(tmp_path, *good)
    for index in range(4):  # missing
        write(targets / f"missing{index}.png", pixels())
    for index in range(5):  # surplus
        write(inputs / f"surplus{index}.png", pixels())
    for index in range(2):  # double
        write(targets / f"double{index}.png", pixels())
        write(inputs / f"double{index}.png", pixels())
        write(inputs / f"double{index}.bmp", pixels())
    for index, size in enumerate([(20, 23), (19, 24), (24, 20), (10, 12), (40, 48)]):
        write(targets / f"size{index}.png", pixels())
        write(inputs / f"size{index}.png", pixels(*size))
    for index in range(2):  # other channels
        write(targets / f"grey{index}.png", pixels())
        write(inputs / f"grey{index}.png", pixels(channels=1))
    write(targets / "cut.png", pixels())
    (inputs / "cut.png").write_bytes((targets / "cut.png").read_bytes()[:90])
    (targets / "empty.png").touch()
    write(inputs / "empty.png", pixels())
    opener = Opener(channels=3, cache_dir=None, on_error="raise", cache_limit=None)
    with pytest.raises(DataError) as raised:
        opener.open(PairFolders(targets, inputs))
    said = str(raised.value)
    for words in (
        "20 images of pairs of targets",
        "4 targets without an input:",
        "5 inputs without a target:",
        "2 several files of one pair:",
        "5 sizes that do not fit:",
        "size0: the input is 23×20, the target 24×20 px and not 23×20 (×1)",
        "2 a grey input of a coloured target:",
        "cut.png",
        "empty.png",
    ):
        assert words in said
    skipping = Opener(channels=3, cache_dir=None, on_error="skip", cache_limit=None)
    assert skipping.open(PairFolders(targets, inputs)).keys == ("0", "1", "2")
    assert f"skipped {targets}/missing0.png (targets without an input)" in caplog.text
    assert "skipped grey0 (a grey input of a coloured target)" in caplog.text


def test_a_single_mistake_is_named_with_its_reason(tmp_path: Path) -> None:
    targets, inputs = folders(tmp_path, ("a.png", "a.png"))
    write(targets / "b.png", pixels())
    opener = Opener(channels=3, cache_dir=None, on_error="raise", cache_limit=None)
    with pytest.raises(DataError, match=r"1 targets without an input:\n .*b\.png"):
        opener.open(PairFolders(targets, inputs))


def test_an_empty_or_missing_folder_is_refused(tmp_path: Path) -> None:
    targets, _ = folders(tmp_path, ("a.png", "a.png"))
    (tmp_path / "empty").mkdir()
    for wrong in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(DataError, match=wrong.name):
            PairFolders(targets, wrong).items()
    with pytest.raises(ConfigError, match="pairs need both"):
        RestorationData(target_dir=targets)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("scale", [1, 2])
def test_crops_and_orientations_are_those_of_both(tmp_path: Path, scale: int, cached: bool) -> None:
    written = folders(tmp_path, *[(f"{n}.png", f"{n}.png") for n in "abc"], scale=scale)
    cache = tmp_path / "cache" if cached else None
    opener = Opener(channels=3, cache_dir=cache, on_error="raise", cache_limit=None)
    images = opener.open(PairFolders(*written, scale=scale))
    assert images.fingerprint["count"] == 3
    patches = TrainingPatches(images, stages=Stages(8, 4), transform=None, seed=3)
    for number in range(24):
        sample = patches[number]
        assert sample["target"].shape == (3, 8, 8)
        assert sample["input"].shape == (3, 8 // scale, 8 // scale)
        # each input pixel is one of the cell of the target that it stands for
        cells = sample["target"].unflatten(1, (-1, scale)).unflatten(3, (-1, scale))
        hits = (cells == sample["input"][:, :, None, :, None]).all(0).any(1).any(-1)
        assert hits.all()


def test_another_input_is_another_set(tmp_path: Path) -> None:
    opener = Opener(channels=3, cache_dir=None, on_error="raise", cache_limit=None)
    targets, inputs = folders(tmp_path, ("a.png", "a.png"))
    before = opener.open(PairFolders(targets, inputs)).fingerprint
    write(inputs / "a.png", pixels(24, 32, seed=9))
    assert opener.open(PairFolders(targets, inputs)).fingerprint != before


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [1, 4])
def test_workers_give_the_batches_of_none(tmp_path: Path, workers: int) -> None:
    targets, inputs = folders(tmp_path, *[(f"{n}.png", f"{n}.png") for n in "abc"])

    def batches(count: int) -> list[torch.Tensor]:
        data = RestorationData(
            target_dir=targets, input_dir=inputs, patch_size=8, batch_size=4, workers=count,
            cache_dir=tmp_path / "cache",
        )  # fmt: skip
        loader = iter(data.train_dataloader())
        return [next(loader)[part] for _ in range(3) for part in ("input", "target")]  # type: ignore[literal-required]

    for ours, theirs in zip(batches(0), batches(workers), strict=True):
        assert torch.equal(ours, theirs)
