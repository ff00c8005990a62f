"""`from src import load, restore`: the networks that come along, without a configuration."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from src import load, restore
from src.core.errors import CheckpointError, ConfigError, ImageFileError
from src.core.paths import ROOT
from src.data.datasets.sample_photos import SamplePhotos
from src.models.backbones.ffdnet import FFDNet
from src.models.backbones.untrained import Bicubic
from src.weights.zoo import zoo_file, zoo_names
from tests.support.runs import command
from tools.hostile_files import write_pickle


@pytest.fixture(scope="module")
def noisy() -> np.ndarray:
    """Return a noisy part of a photograph with odd sides, uint8 (95, 119, 3)."""
    clean = SamplePhotos("val").items()["astronaut"].load(3)[100:195, 150:269]
    noise = np.random.default_rng(0).normal(0, 25, clean.shape)
    return (clean + noise).clip(0, 255).round().astype(np.uint8)


@pytest.mark.long
def test_every_kind_of_image_comes_back_as_it_came_and_as_predict_writes_it(
    noisy: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(noisy).save(path)
    done = command("predict", "task=denoise", f"input={path}", "device=cpu")
    assert done.code == 0, done.err
    with Image.open(tmp_path / "a_denoised.png") as image:
        expected = np.asarray(image)
    for given in (path, str(path), Image.fromarray(noisy)):
        assert (np.asarray(restore(given, "denoise")) == expected).all()
    array = restore(noisy, "denoise")
    assert array.dtype == np.uint8
    assert (array == expected).all()
    floats = restore(noisy.astype(np.float32) / 255, "denoise")
    assert floats.dtype == np.float32
    assert abs(floats * 255 - expected).max() <= 0.5 + 1e-3
    tensor = torch.from_numpy(noisy).permute(2, 0, 1).float() / 255
    batch = restore(tensor[None], checkpoint="zoo/denoise")
    assert batch.shape == (1, 3, 95, 119)
    assert torch.equal(batch[0], restore(tensor, checkpoint=load("zoo/denoise")))
    assert abs(batch[0].permute(1, 2, 0).numpy() * 255 - expected).max() <= 0.5 + 1e-3


def test_grey_comes_back_grey_and_alpha_comes_back(noisy: np.ndarray) -> None:
    grey = restore(noisy[..., 1], "denoise")
    assert grey.shape == (95, 119)
    see_through = Image.fromarray(noisy)
    see_through.putalpha(Image.fromarray(noisy[..., 0]))
    restored = restore(see_through, "denoise")
    assert restored.mode == "RGBA"
    assert (np.asarray(restored)[..., 3] == noisy[..., 0]).all()


@pytest.mark.long
def test_sixteen_bits_come_back(noisy: np.ndarray, tmp_path: Path) -> None:
    deep = noisy[..., 1].astype(np.uint16) * 257
    expected = restore(deep, "denoise")
    assert expected.dtype == np.uint16
    image = Image.fromarray(deep)
    image.save(tmp_path / "deep.png")
    for given in (image, tmp_path / "deep.png"):
        restored = restore(given, "denoise")
        assert restored.mode == "I;16"
        assert (np.asarray(restored) == expected).all()


def test_what_describes_a_photograph_stays_with_an_image_of_pillow(
    noisy: np.ndarray, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Orientation] = "Ours", 6
    Image.fromarray(noisy).save(tmp_path / "a.jpg", quality=95, exif=exif, dpi=(300, 300))
    with Image.open(tmp_path / "a.jpg") as image:
        as_it_lies = restore(image, "denoise")
    upright = restore(tmp_path / "a.jpg", "denoise")
    assert (as_it_lies.size, upright.size) == ((119, 95), (95, 119))
    assert as_it_lies.getexif()[ExifTags.Base.Orientation] == 6
    assert ExifTags.Base.Orientation not in upright.getexif()
    for restored in (as_it_lies, upright):
        assert restored.getexif()[ExifTags.Base.Make] == "Ours"
        assert tuple(map(float, restored.info["dpi"])) == (300, 300)


def test_upscale_is_a_task_as_on_the_command_line() -> None:
    image = np.full((8, 9, 3), 100, np.uint8)
    assert restore(image, "upscale", scale=3).shape == (24, 27, 3)
    assert restore(image, "upscale").shape == (16, 18, 3)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_a_mosaic_of_one_channel_becomes_an_image_of_three(kind: type) -> None:
    mosaic = np.full((8, 10), 1, kind)
    assert restore(mosaic, "demosaic").shape == (8, 10, 3)
    assert restore(mosaic[..., None], "demosaic").shape == (8, 10, 3)
    assert restore(mosaic, "denoise").shape == (8, 10)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((9, 9, 4), np.uint8), "Alpha is kept of a file or an image of Pillow"),
        (np.zeros((9, 9, 2), np.uint8), r"\(2, 9, 9\) is no image"),
        (np.zeros((0, 9, 3), np.uint8), "is no image"),
        (np.zeros((1, 9, 9, 3), np.uint8), "is no image"),
        (np.zeros((9, 9, 3), np.int64), "int64: an array is of uint8"),
        (np.full((9, 9, 3), 200.0), "values from 200 to 200: floats are in"),
        (np.full((9, 9, 3), np.nan), "none is NaN"),
        (torch.zeros(3, 9, 9, dtype=torch.uint8), "torch.uint8: a tensor is of floats"),
        (torch.zeros(9, 9), "is no image"),
        (Image.new("F", (9, 9)), "mode F: convert it"),
    ],
)
def test_what_is_no_image_is_refused_in_words(image: Any, says: str) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match=says):
        restore(image, checkpoint=Bicubic(scale=2))


def test_a_misspelt_word_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"til=: restore has no such word. Did you mean til"):
        restore(np.zeros((9, 9, 3), np.uint8), checkpoint=Bicubic(scale=2), til=5)


def test_what_is_to_be_done_must_be_said_once() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    for words in ({}, {"task": "denoise", "checkpoint": "zoo/denoise"}):
        with pytest.raises(ConfigError, match="not both"):
            restore(image, **words)


def test_what_a_network_cannot_do_is_refused() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ConfigError, match=r"task=denoize: Did you mean denoise\?"):
        restore(image, "denoize")
    with pytest.raises(ConfigError, match=r"scale=2: is of upscale"):
        restore(image, "denoise", scale=2)
    with pytest.raises(ConfigError, match=r"scale=5: upscale has 2, 3, 4"):
        restore(image, "upscale", scale=5)
    with pytest.raises(ConfigError, match="enlarges by 2"):
        restore(image, checkpoint=Bicubic(scale=2), scale=3)
    with pytest.raises(ConfigError, match="add sigma="):
        restore(image, checkpoint=FFDNet(4, 3, channels=4, blocks=2))


@pytest.mark.parametrize("name", [name.removeprefix("zoo/") for name in zoo_names()])
def test_torch_hub_takes_the_folder(name: str) -> None:
    net = torch.hub.load(str(ROOT), name, source="local")
    scale = int(name[-1]) if "_x" in name else 1
    with torch.no_grad():
        assert net(torch.rand(1, 3, 16, 18)).shape == (1, 3, 16 * scale, 18 * scale)


def test_the_hub_gives_our_networks_whatever_the_current_folder_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "zoo/denoise/checkpoints/best.ckpt"
    theirs.parent.mkdir(parents=True)
    write_pickle(theirs, tmp_path / "ran", zipped=True)
    monkeypatch.chdir(tmp_path)
    net = torch.hub.load(str(ROOT), "denoise", source="local")
    ours = load(zoo_file("zoo/denoise")).state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in net.state_dict().items())
    with pytest.raises(CheckpointError, match="loading it could run code"):
        load("zoo/denoise")
    assert not (tmp_path / "ran").exists()


@pytest.mark.long
def test_what_restores_imports_only_what_it_needs() -> None:
    code = "import sys, src; sys.exit(len({'torch', 'lightning', 'hydra'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
    heavy = "{'lightning', 'torchmetrics', 'torch._dynamo', 'matplotlib', 'sympy', 'scipy'}"
    for imports in ("from src import restore", "import src.commands.predict.command"):
        code = f"import sys; {imports}; print({heavy} & set(sys.modules))"
        said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=-1)
        assert said.stdout == b"set()\n"


@pytest.mark.parametrize("side", [1, 5, 8])
def test_a_mosaic_of_one_channel_gets_its_colours(side: int) -> None:
    raw = np.random.default_rng(0).integers(0, 256, (side, side + 2), np.uint8)
    colours = restore(raw, "demosaic", phase="rggb")
    assert (colours.shape, colours.dtype) == ((side, side + 2, 3), np.uint8)
    assert (restore(raw, checkpoint=load("zoo/demosaic"), phase="rggb") == colours).all()
    deep = restore(raw.astype(np.uint16) * 257, "demosaic", phase="rggb")
    assert abs(deep / 257 - colours).max() <= 0.5 + 1e-3
    for given in (Image.fromarray(raw), Image.fromarray(raw.astype(np.uint16) * 257)):
        restored = restore(given, "demosaic", phase="rggb")
        assert restored.mode == "RGB"
        assert abs(np.asarray(restored).astype(int) - colours).max() <= 1


@pytest.mark.parametrize(
    "words",
    [
        {"scale": 0}, {"scale": -1}, {"sigma": 25},
        {"tile": "x"}, {"tile": 17.5}, {"tile": True}, {"overlap": "a"}, {"overlap": None},
        {"ensemble": "yes"}, {"tiling": "x"}, {"window": 4.5},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("named", [True, False])
def test_words_that_mean_nothing_are_refused_not_ignored(
    named: bool,
    words: dict[str, Any],
) -> None:
    network = {"task": "denoise"} if named else {"checkpoint": Bicubic(scale=1)}
    with pytest.raises(ConfigError, match=f"{next(iter(words))}="):
        restore(np.zeros((8, 8, 3), np.uint8), **network, **words)


@pytest.mark.parametrize(
    "image",
    [
        np.array(0.5), torch.zeros(0, 3, 8, 8),
        torch.zeros(3, 8, 8, device="meta"), torch.zeros(3, 8, 8).to_sparse(),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_nothing_like_an_image_is_refused_in_words(image: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match=r"is no image|a tensor holds"):
        restore(image, checkpoint=Bicubic(scale=2))


def test_a_name_with_a_zero_byte_is_refused_in_words() -> None:
    with pytest.raises(ImageFileError, match="cannot be opened"):
        restore("a\0b.png", checkpoint=Bicubic(scale=2))


def test_a_task_beside_a_module_is_refused() -> None:
    with pytest.raises(ConfigError, match="not both"):
        restore(np.zeros((8, 8, 3), np.uint8), "denoise", checkpoint=Bicubic(scale=2))


def test_numbers_of_any_type_give_the_same_image(noisy: np.ndarray) -> None:
    net = load("zoo/denoise")
    expected = restore(noisy[:16, :24], checkpoint=net)
    swapped = restore((noisy[:16, :24].astype(">u2") * 257).astype(">u2"), checkpoint=net)
    assert swapped.dtype == np.dtype(">u2")
    assert abs(swapped / 257 - expected).max() <= 0.5 + 1e-3
    assert (restore(noisy[:16, :24], checkpoint=net.double()) == expected).mean() > 0.999


def test_of_other_inks_the_profile_goes_and_a_transparent_level_stays(noisy: np.ndarray) -> None:
    inks = Image.fromarray(noisy).convert("CMYK")
    inks.info.update(icc_profile=b"of inks", dpi=(300, 300))
    restored = restore(inks, checkpoint=Bicubic(scale=1))
    assert {"icc_profile", "dpi"} & set(restored.info) == {"dpi"}
    grey = noisy[..., 0].astype(np.uint16) * 257
    deep = Image.fromarray(grey)
    deep.info["transparency"] = int(grey[3, 3])
    restored = restore(deep, checkpoint=Bicubic(scale=1))
    assert restored.mode == "LA"
    assert ((np.asarray(restored)[..., 1] == 0) == (grey == grey[3, 3])).all()
