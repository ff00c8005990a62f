import resource
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.stats import chisquare

from src.data.transforms import PatchTransform
from tests.support.images import pixels


def orientations(image: np.ndarray) -> list[bytes]:
    turned = [np.rot90(side, turns) for side in (image, image[:, ::-1]) for turns in range(4)]
    return [np.ascontiguousarray(one).tobytes() for one in turned]


def test_all_eight_orientations_are_equally_likely() -> None:
    image = pixels(6, 6)
    transform = PatchTransform(6)
    seen = Counter(transform(image, seed=seed).tobytes() for seed in range(1600))
    counts = [seen[orientation] for orientation in orientations(image)]
    assert sum(counts) == 1600  # no other image comes out
    assert chisquare(counts).pvalue > 1e-3


def test_crop_and_orientation_are_independent() -> None:
    image = np.arange(49, dtype=np.uint8).reshape(7, 7, 1)
    transform = PatchTransform(6)  # 4 places × 8 orientations
    seen = Counter(transform(image, seed=seed).tobytes() for seed in range(1600))
    assert len(seen) == 32
    assert chisquare(list(seen.values())).pvalue > 1e-3


def test_the_same_seed_gives_the_same_patch_whatever_came_before() -> None:
    image = pixels(40, 50)
    transform = PatchTransform(16)
    first = transform(image, seed=5)
    transform(image, seed=6)
    assert np.array_equal(transform(image, seed=5), first)


def test_the_image_itself_is_not_changed() -> None:
    image = pixels(16, 16)
    before = image.copy()
    for seed in range(16):
        PatchTransform(16)(image, seed=seed)
    assert np.array_equal(image, before)


def test_only_the_patch_is_read_of_a_mapped_file(tmp_path: Path) -> None:
    side = 6000  # 108 MB; a copy would show in the peak memory of this process
    np.lib.format.open_memmap(
        tmp_path / "large.npy", mode="w+", dtype=np.uint8, shape=(side, side, 3)
    )
    image = np.load(tmp_path / "large.npy", mmap_mode="r")
    transform = PatchTransform(48)
    transform(pixels(60, 60), seed=0)
    before = resource.getrusage(resource.RUSAGE_SELF)
    transform(image, seed=0)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt < 2000  # pages
