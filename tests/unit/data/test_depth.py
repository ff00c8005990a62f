"""What has more than 8 bits reaches the network with all of them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image

from src.core.errors import ImageFileError
from src.data.datamodule import RestorationData
from src.data.depth import Pixels
from src.data.image_io import read_image, to_tensor
from src.data.opener import Opener
from src.data.patches import Albumentations
from src.data.source import ImageFolder
from src.ops.color import luma
from tests.support.images import pixels, write


def wide(height: int = 20, width: int = 24, channels: int = 3, *, seed: int = 0) -> Pixels:
    """Return random uint16 (height, width, channels), of which no high byte tells the low one."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 65536, (height, width, channels), dtype=np.uint16)


def write_wide(path: Path, image: Pixels) -> Path:
    """Write ``image`` by another library than the one that reads it; arrays by NumPy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, image)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, image.squeeze())
    else:
        assert cv2.imwrite(
            str(path), image[..., {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[image.shape[2]]]
        )
    return path


@pytest.mark.parametrize("cache", ["on", "off"])
@pytest.mark.parametrize("kind", ["png", "tif", "npy", "floats.npy", "grey.png", "grey floats.tif"])
def test_a_target_reaches_the_network_exactly(tmp_path: Path, kind: str, cache: str) -> None:
    image = wide(16, 16, channels=1 if kind.startswith("grey") else 3)
    exact = image.astype(np.float32) / np.float32(65535)
    write_wide(tmp_path / "images" / f"a.{kind}", exact if "floats" in kind else image)
    data = RestorationData(
        train_dir=tmp_path / "images",
        patch_size=16,
        batch_size=8,
        workers=0,
        cache=cache,
        cache_dir=tmp_path / "cache",
    )
    data.setup("fit")
    for patch in next(iter(data.train_dataloader()))["target"].numpy():
        turned = [np.rot90(side, k) for side in (patch[0], patch[0].T) for k in range(4)]
        assert any(np.array_equal(exact[..., 0], one) for one in turned)
        assert np.array_equal(np.sort(patch.reshape(3, -1)[-1]), np.sort(exact[..., -1].ravel()))


def test_both_of_a_pair_reach_the_network_exactly(tmp_path: Path) -> None:
    images = {name: wide(8, 8, seed=seed) for seed, name in enumerate(("target", "given"))}
    for name, image in images.items():
        write_wide(tmp_path / name / "a.png", image)
    data = RestorationData(
        val_target_dir=tmp_path / "target", val_input_dir=tmp_path / "given", cache="off"
    )
    data.setup("test")
    sample = data.val_dataloader()[0].dataset[0]
    for key, name in (("target", "target"), ("input", "given")):
        assert torch.equal(sample[key], to_tensor(images[name]))


def test_an_image_of_eight_bits_is_the_same_in_sixteen(tmp_path: Path) -> None:
    image = pixels()
    narrow = read_image(write(tmp_path / "a.png", image), channels=3)
    broad = read_image(write_wide(tmp_path / "b.png", image.astype(np.uint16) * 257), channels=3)
    assert narrow.dtype == np.uint8
    assert torch.allclose(to_tensor(narrow), to_tensor(broad), rtol=0, atol=1e-7)


def test_transparent_sixteen_bits_are_laid_over_white(tmp_path: Path) -> None:
    image = wide(channels=4)
    image[:5, :, 3], image[5:10, :, 3] = 0, 65535
    read = read_image(write_wide(tmp_path / "a.png", image), channels=3)
    alpha = image[..., 3:] / 65535
    assert np.array_equal(read, np.round(image[..., :3] * alpha + 65535 * (1 - alpha)))


def test_luma_of_sixteen_bits_is_not_rounded(tmp_path: Path) -> None:
    image = wide()
    read = read_image(write_wide(tmp_path / "a.png", image), channels=1)
    assert torch.equal(to_tensor(read)[None], luma(to_tensor(image)[None]))


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4", ">u2", np.uint8])
def test_each_type_of_an_array_is_read(tmp_path: Path, dtype: str) -> None:
    image = (np.arange(12).reshape(3, 4) / 16).astype(dtype)
    np.save(tmp_path / "a.npy", np.asfortranarray(image))
    assert np.array_equal(read_image(tmp_path / "a.npy", channels=1)[..., 0], image)


BAD: dict[str, tuple[NDArray[np.generic], str]] = {
    "above 1": (np.full((4, 4), 1.5), r"has values from 1\.5 to 1\.5; floats must be in \[0, 1\]"),
    "NaN": (np.array([[0.5, np.nan]]), "has 1 values that are NaN"),
    "complex": (np.zeros((4, 4), complex), "is an array of complex128"),
    "objects": (np.array([[{}]], object), "is an array of object"),
    "planes first": (np.zeros((3, 4, 4)), r"float64 \(3, 4, 4\); save \(H, W\) or \(H, W, 3\)"),
    "nothing": (np.zeros((0, 4)), r"is an array of float64 \(0, 4\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_other_arrays_are_refused(tmp_path: Path, name: str) -> None:
    array, reason = BAD[name]
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ImageFileError, match=reason):
        read_image(tmp_path / "a.npy", channels=3)


@pytest.mark.parametrize(
    "head",
    ["{'descr': '|u1', (", "'''", "-" * 9000 + "1", "{1: 2, 'a': 3}", "01",
     "{'descr': (), 'fortran_order': False, 'shape': (3, 4)}",
     *(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}"
       for shape in ("(-3, -4)", "(-1, -12)", "(True, 12)"))],
)  # fmt: skip
def test_a_head_that_is_no_head_is_refused(head: str, tmp_path: Path) -> None:
    length = len(head).to_bytes(2, "little")
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\1\0" + length + head.encode() + bytes(12))
    with pytest.raises(ImageFileError, match="save"):
        read_image(tmp_path / "a.npy", channels=3)


def test_what_is_no_array_is_refused_and_so_is_a_part_of_one(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 4)))
    whole = (tmp_path / "a.npy").read_bytes()
    for content, reason in (
        (b"hello", "is no array of NumPy"),
        (whole[:-1], "is damaged"),
        (whole[:20], "is no array of NumPy"),
        (whole.replace(b"(4, 4)", b"(9999999, 9999999)"), "is no array|is damaged"),
        (whole.replace(b"(4, 4)", b"(-4,-4)")[:-1], "is an array of float64"),
        (whole.replace(b"(4, 4)", b"(4, 4 "), "is no array of NumPy"),
        (whole.replace(b"'<f8'", b"',,,'"), "is no array of NumPy"),
        (whole.replace(b"{", b"\xbe"), "is no array of NumPy"),
    ):
        (tmp_path / "b.npy").write_bytes(content)
        with pytest.raises(ImageFileError, match=reason):
            read_image(tmp_path / "b.npy", channels=3)


def test_the_cache_keeps_depths_apart_and_the_file_says_what_is_grey(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    write(folder / "narrow.png", pixels())
    write_wide(folder / "wide.png", wide())
    write_wide(folder / "floats.npy", np.zeros((8, 8), np.float32)[..., None])
    opener = Opener(1, cache_dir=tmp_path / "cache", on_error="raise", cache_limit=None)
    for _ in range(2):  # decoded, then from the cache
        images = opener.open(ImageFolder(folder))
        kinds = dict(zip(images.keys, (images.load(i).dtype.name for i in range(3)), strict=True))
        assert kinds == {"floats": "float32", "narrow": "uint8", "wide": "float32"}
    assert set(images.pixels()) == set(kinds)


def test_floats_are_no_photograph_for_other_commands(tmp_path: Path) -> None:
    from src.data.photograph import read_photograph

    Image.fromarray(np.zeros((4, 6), np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(ImageFileError, match="floating-point"):
        read_photograph(tmp_path / "f.tif")


def test_pixel_transforms_get_floats_where_there_are_sixteen_bits() -> None:
    transform = Albumentations([{"name": "RandomGamma", "gamma_limit": [120, 120], "p": 1.0}])
    changed = transform(wide(), seed=3)
    exact = (wide() / 65535) ** 1.2
    assert changed.dtype == np.float32
    assert np.abs(changed - exact).max() < 1e-6
