import hashlib
import itertools
import pickle
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from src.core.errors import ConfigError
from src.core.paths import ROOT
from src.data.datamodule import RestorationData
from src.data.datasets.synthetic import Synthetic
from src.data.image_io import Pixels
from src.data.patches import Albumentations, Crop
from tests.support.images import pixels


def cut(image: Pixels, side: int, seed: int) -> Pixels:
    height, width, _ = image.shape
    return Crop.draw(height, width, side, seed=seed).of(image)


def orientations(image: np.ndarray) -> list[bytes]:
    turned = [np.rot90(side, turns) for side in (image, image[:, ::-1]) for turns in range(4)]
    return [np.ascontiguousarray(one).tobytes() for one in turned]


def test_all_eight_orientations_are_equally_likely() -> None:
    image = pixels(6, 6)
    seen = Counter(cut(image, 6, seed).tobytes() for seed in range(1600))
    counts = [seen[orientation] for orientation in orientations(image)]
    assert sum(counts) == 1600  # no other image comes out
    assert chisquare(counts).pvalue > 1e-3


def test_crop_and_orientation_are_independent() -> None:
    image = np.arange(49, dtype=np.uint8).reshape(7, 7, 1)
    seen = Counter(cut(image, 6, seed).tobytes() for seed in range(1600))  # 4 places × 8
    assert len(seen) == 32
    assert chisquare(list(seen.values())).pvalue > 1e-3


def test_the_same_seed_gives_the_same_patch_whatever_came_before() -> None:
    image = pixels(40, 50)
    first = cut(image, 16, 5)
    cut(image, 16, 6)
    assert np.array_equal(cut(image, 16, 5), first)


def test_the_image_itself_is_not_changed() -> None:
    image = pixels(16, 16)
    before = image.copy()
    for seed in range(16):
        cut(image, 16, seed)
    assert np.array_equal(image, before)


def test_only_the_patch_is_read_of_a_mapped_file(tmp_path: Path) -> None:
    side = 6000  # 108 MB; a copy would show in the peak memory of this process
    np.lib.format.open_memmap(
        tmp_path / "large.npy", mode="w+", dtype=np.uint8, shape=(side, side, 3)
    )
    image = np.load(tmp_path / "large.npy", mmap_mode="r")
    cut(pixels(60, 60), 48, 0)
    before = resource.getrusage(resource.RUSAGE_SELF)
    np.ascontiguousarray(cut(image, 48, 0))
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt < 2000  # pages


def test_a_pair_of_different_size_is_cut_at_the_same_place_and_turned_alike() -> None:
    small = pixels(20, 24)
    large = small.repeat(3, axis=0).repeat(3, axis=1)
    for seed in range(32):
        crop = Crop.draw(20, 24, 8, seed=seed)
        patch = crop.of(small)
        assert np.array_equal(crop.of(large, scale=3), patch.repeat(3, axis=0).repeat(3, axis=1))


def test_the_crops_are_those_of_runs_that_albumentations_cut() -> None:
    image = pixels(60, 80)
    digest = hashlib.sha256(b"".join(cut(image, 16, seed).tobytes() for seed in range(500)))
    assert (
        digest.hexdigest() == "a650e8bd61f9c7c18ffb9c19b9fb35ad969ad6acf6104c39fcac74f8dfebf225"
    )  # by the code before


@pytest.mark.long
def test_a_training_without_pixel_transforms_does_not_import_albumentations() -> None:
    code = (
        "import sys; import src.data.patches;"
        "sys.exit(bool({'albumentations', 'cv2'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


OFFLINE = """
import socket, urllib.request
def refuse(*args, **kwargs):
    raise SystemExit("asked the network")
socket.getaddrinfo = socket.create_connection = urllib.request.urlopen = refuse
from src.data.patches import Albumentations
Albumentations([{"name": "RandomGamma"}])
"""


@pytest.mark.long
def test_importing_albumentations_asks_no_server() -> None:
    subprocess.run([sys.executable, "-c", OFFLINE], check=True, cwd=ROOT)


BRIGHTER = {"name": "RandomBrightnessContrast", "brightness_limit": 0.2, "p": 0.7}
NOISY = {"name": "GaussNoise", "p": 1.0}


@pytest.mark.parametrize("entry", [BRIGHTER, NOISY, {"name": "ColorJitter"}, {"name": "Blur"}])
def test_a_pixel_transform_follows_from_the_seed_alone(entry: dict[str, object]) -> None:
    transform, patch = Albumentations([entry]), pixels(16, 16)
    before = patch.copy()
    shared = np.random.get_state()[1].copy()  # noqa: NPY002  of Python's, beartype draws too
    first = [transform(patch, seed=seed) for seed in range(8)]
    again = [pickle.loads(pickle.dumps(transform))(patch, seed=seed) for seed in range(8)]  # noqa: S301
    assert all(map(np.array_equal, first, again))
    assert len({one.tobytes() for one in first}) > 1
    assert np.array_equal(patch, before)
    assert np.array_equal(np.random.get_state()[1], shared)  # noqa: NPY002


def test_several_transforms_draw_from_one_stream() -> None:
    halves = [{"name": "InvertImg", "p": 0.5}, {"name": "ToGray", "p": 0.5}]
    transform, patch = Albumentations(halves), pixels(6, 6)
    seen = Counter(transform(patch, seed=seed).tobytes() for seed in range(400))
    assert len(seen) == 4  # neither, one, the other, both
    assert chisquare(list(seen.values())).pvalue > 1e-3


def _batches(folder: Path, workers: int, **settings: object) -> torch.Tensor:
    module = RestorationData(
        train=Synthetic(count=2, size=24), patch_size=16, batch_size=4, workers=workers,
        cache_dir=folder, **settings,  # type: ignore[arg-type]
    )  # fmt: skip
    module.setup("fit")
    loader = module.train_dataloader()
    return torch.stack([batch["target"] for batch in itertools.islice(iter(loader), 4)])


def test_workers_and_passes_draw_different_pixels_and_any_number_of_workers_the_same(
    tmp_path: Path,
) -> None:
    transform = Albumentations([NOISY])
    alone = _batches(tmp_path, 0, transform=transform)
    assert torch.equal(_batches(tmp_path, 2, transform=transform), alone)
    noise = (alone - _batches(tmp_path, 0)).flatten(0, 1)
    assert noise.flatten(1).unique(dim=0).shape[0] == 16  # 8 passes over two images, none alike


def test_the_crops_stay_the_same_under_a_pixel_transform(tmp_path: Path) -> None:
    inverted = _batches(tmp_path, 0, transform=Albumentations([{"name": "InvertImg", "p": 1}]))
    assert torch.allclose(inverted, 1 - _batches(tmp_path, 0))


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"name": "RandomGama"}, r"RandomGama is no transform.*Did you mean RandomGamma"),
        ({"p": 0.5}, "None is no transform of albumentations"),
        ({"name": "HorizontalFlip"}, "HorizontalFlip moves or drops pixels; crops"),
        ({"name": "RandomCrop", "height": 8, "width": 8}, "RandomCrop moves or drops pixels"),
        ({"name": "Compose", "transforms": []}, "Compose is no transform"),
        ({"name": "RandomGamma", "gama_limit": [80, 120]}, "RandomGamma is not possible: .*gama_l"),
        ({"name": "RandomGamma", "p": 2}, "RandomGamma is not possible"),
    ],
)
def test_what_albumentations_cannot_do_here_is_refused(entry: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Albumentations([entry])


def test_a_transform_that_changes_the_type_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.transform makes float32"):
        Albumentations([{"name": "ToFloat", "p": 1}])(pixels(8, 8), seed=0)
