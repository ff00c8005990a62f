"""Photographs of many kinds through the real command: what went in, what came out."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import torch
from PIL import ExifTags, Image, ImageCms

from src.data.image_file import AVIF
from src.models.backbones.ffdnet import FFDNet
from src.models.backbones.untrained import Bicubic, Identity
from src.weights.network_file import write_network
from tests.support.images import pixels
from tests.support.runs import Finished, command, train_tiny

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
COLOUR = Image.fromarray(pixels())
GREY = Image.fromarray(pixels(channels=1)[..., 0])
ALPHA = Image.fromarray(pixels(channels=1, seed=5)[..., 0])
WIDE = np.random.default_rng(0).integers(0, 2**16, (20, 24, 3), np.uint16)
TURNED = 6  # shown turned a quarter clockwise


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = TURNED
    exif[ExifTags.Base.Model] = "A camera"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] = 24
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    written = Image.Exif()
    written.load(exif.tobytes())  # else TIFF is written without the inner directories
    return written


def _with_alpha(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(ALPHA)
    return image


def _wide_png(path: Path) -> None:
    cv2.imwrite(str(path), WIDE[..., ::-1])


@dataclass(frozen=True)
class Case:
    """A kind of file.

    Attributes:
        name: Of the file.
        make: Writes it.
        result: Name, format and mode of what comes out.
        says: What is said of it; one line each.
    """

    name: str
    make: Callable[[Path], object]
    result: tuple[str, str, str]
    says: tuple[str, ...] = ()


def _saved(image: Image.Image, **options: Any) -> Callable[[Path], object]:  # noqa: ANN401
    return lambda path: image.save(path, **options)


EMBEDDED = {"icc_profile": SRGB, "exif": _exif()}
CASES = [
    Case("rgb.png", _saved(COLOUR, dpi=(300, 300), **EMBEDDED), ("rgb.png", "PNG", "RGB")),
    Case("rgba.png", _saved(_with_alpha(COLOUR)), ("rgba.png", "PNG", "RGBA")),
    Case(
        "grey.png", _saved(GREY), ("grey.png", "PNG", "L"), ("grey, and the network takes colour",)
    ),
    Case("la.png", _saved(_with_alpha(GREY)), ("la.png", "PNG", "LA"), ("comes back grey",)),
    Case(
        "palette.png", _saved(COLOUR.quantize(8)), ("palette.png", "PNG", "RGB"), ("becomes RGB",)
    ),
    Case(
        "bilevel.png",
        _saved(GREY.convert("1")),
        ("bilevel.png", "PNG", "L"),
        ("comes back grey", "1 bit"),
    ),
    Case("wide.png", _saved(Image.fromarray(WIDE[..., 0])), ("wide.png", "PNG", "I;16"), ("grey",)),
    Case(
        "wide.tif", _saved(Image.fromarray(WIDE[..., 0])), ("wide.tif", "TIFF", "I;16"), ("grey",)
    ),
    Case("wide_rgb.png", _wide_png, ("wide_rgb.png", "PNG", "RGB")),
    Case(
        "wide_rgb.tiff",
        lambda path: tifffile.imwrite(path, WIDE, photometric="rgb", iccprofile=SRGB),
        ("wide_rgb.png", "PNG", "RGB"),
        ("a TIFF of 16-bit colour is written as PNG of 16 bits",),
    ),
    Case("rgb.tif", _saved(COLOUR, dpi=(300, 300), **EMBEDDED), ("rgb.tif", "TIFF", "RGB")),
    Case("rgba.tif", _saved(_with_alpha(COLOUR)), ("rgba.tif", "TIFF", "RGBA")),
    Case(
        "photo.jpg",
        _saved(COLOUR, dpi=(300, 300), quality=90, comment=b"by hand", **EMBEDDED),
        ("photo.jpg", "JPEG", "RGB"),
    ),
    Case("grey.JPEG", _saved(GREY), ("grey.JPEG", "JPEG", "L"), ("comes back grey",)),
    Case(
        "cmyk.jpg", _saved(COLOUR.convert("CMYK")), ("cmyk.jpg", "JPEG", "RGB"), ("CMYK becomes",)
    ),
    Case(
        "photo.webp",
        _saved(_with_alpha(COLOUR), lossless=True, exact=True, **EMBEDDED),
        ("photo.webp", "WEBP", "RGBA"),
    ),
    Case("photo.bmp", _saved(COLOUR, dpi=(300, 300)), ("photo.bmp", "BMP", "RGB")),
    Case("grey.bmp", _saved(GREY), ("grey.bmp", "BMP", "L"), ("comes back grey",)),
    Case(
        "a.gif",
        _saved(COLOUR.quantize(8)),
        ("a.png", "PNG", "RGB"),
        ("GIF holds 256 colours", "becomes RGB"),
    ),
    *[Case("b.avif", _saved(COLOUR), ("b.png", "PNG", "RGB"), ("AVIF is read only",))] * AVIF,
]


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Return networks that change nothing, or only the size, of three channels and of one."""
    folder = tmp_path_factory.mktemp("networks")
    files = {}
    for name, net in {
        "same": Identity(3, 3), "same_y": Identity(1, 1),
        "larger": Bicubic(3, 3, scale=2), "larger_y": Bicubic(1, 1, scale=2),
    }.items():  # fmt: skip
        target = f"{type(net).__module__}.{type(net).__name__}"
        node = {
            "_target_": target,
            "in_channels": net.in_channels,
            "out_channels": net.out_channels,
        }
        node |= {"scale": net.scale} if net.scale > 1 else {}
        files[name] = folder / f"{name}.safetensors"
        write_network(files[name], net.state_dict(), node, {})
    return files


def _predict(network: Path, source: Path, output: Path, *words: str) -> Finished:
    done = command(
        "predict", f"checkpoint={network}", f"input={source}", f"output={output}", *words
    )
    assert done.code == 0, done.err
    return done


def _levels(path: Path) -> npt.NDArray[np.uint16]:
    """Return the pixels of a file as they are stored, 16 bits where there are 16."""
    if path.name.startswith("wide_rgb"):
        wide = tifffile.imread(path) if path.suffix == ".tiff" else None
        return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1] if wide is None else wide
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_photograph_comes_back_whole(
    networks: Mapping[str, Path], tmp_path: Path, case: Case
) -> None:
    source, (name, kind, mode) = tmp_path / "in" / case.name, case.result
    source.parent.mkdir()
    case.make(source)
    done = _predict(networks["same"], source, tmp_path / "out")
    notes = [line for line in done.err.splitlines() if line.startswith("Note")]
    assert len(notes) == len(case.says), done.err
    assert all(words in note for words, note in zip(case.says, notes, strict=True))
    result = tmp_path / "out" / name
    assert [path.name for path in result.parent.iterdir()] == [name]
    with Image.open(source) as before, Image.open(result) as after:
        assert (after.format, after.mode) == (kind, mode)
        turned = before.getexif().get(ExifTags.Base.Orientation) == TURNED
        _check_extras(before, after, turned=turned)
        if kind != "JPEG" and before.mode != "P":
            stored = _levels(source)
            upright = np.rot90(stored, -1) if turned and before.format != "TIFF" else stored
            upright = upright * np.uint8(255) if before.mode == "1" else upright
            assert np.array_equal(_levels(result), upright)
        if kind == "JPEG" and before.mode == "RGB":
            expected = np.rot90(np.asarray(before), -1).astype(int)
            assert np.abs(np.asarray(after).astype(int) - expected).mean() < 4


def _check_extras(before: Image.Image, after: Image.Image, *, turned: bool) -> None:
    assert after.info.get("icc_profile") == before.info.get("icc_profile")
    exif = after.getexif()
    assert exif.get(ExifTags.Base.Orientation, 1) == 1
    if turned:
        assert exif[ExifTags.Base.Model] == "A camera"
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
        assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] == after.size[0]
    if "dpi" in before.info:
        assert after.info["dpi"] == pytest.approx(before.info["dpi"], abs=0.1)
    assert after.info.get("comment") == before.info.get("comment")


@pytest.mark.long
def test_a_colour_photograph_through_a_network_of_one_channel_keeps_its_colours(
    networks: Mapping[str, Path], tmp_path: Path
) -> None:
    _with_alpha(COLOUR).save(tmp_path / "a.png")
    done = _predict(networks["same_y"], tmp_path / "a.png", tmp_path / "same")
    assert "Note       colour, and the network has one channel: luma is restored" in done.err
    assert np.array_equal(_levels(tmp_path / "same/a.png"), _levels(tmp_path / "a.png"))
    for name in ("larger", "larger_y"):
        _predict(networks[name], tmp_path / "a.png", tmp_path / name)
    ours, theirs = (_levels(tmp_path / name / "a.png") for name in ("larger_y", "larger"))
    assert ours.shape == (40, 48, 4)
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1  # of bicubic: the same


def test_a_network_that_keeps_the_size_is_given_an_enlarged_image(
    networks: Mapping[str, Path], tmp_path: Path
) -> None:
    _with_alpha(COLOUR).save(tmp_path / "a.png")
    done = _predict(networks["same_y"], tmp_path / "a.png", tmp_path / "same", "scale=2")
    assert "Enlarged   ×2 bicubically first" in done.err
    _predict(networks["larger"], tmp_path / "a.png", tmp_path / "larger", "scale=2")
    enlarged, bicubic = (_levels(tmp_path / name / "a.png") for name in ("same", "larger"))
    assert np.abs(enlarged.astype(int) - bicubic.astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("scale=3",), "enlarges by 2; leave scale=… out"),
        (("scale=0",), "scale=0 is not possible"),
        (("format=heic",), "format=heic: Allowed: bmp, jpeg, png, tiff, webp"),
        (("quality=0",), "quality=0 is not possible; it is 1 to 100"),
        (("format=png", "quality=90"), "png loses nothing"),
    ],
)
def test_what_is_not_possible_is_refused(
    networks: Mapping[str, Path], tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    COLOUR.save(tmp_path / "a.png")
    paths = (f"checkpoint={networks['larger']}", f"input={tmp_path}", f"output={tmp_path}/out")
    done = command("predict", *paths, *words)
    assert done.code == 2
    assert says in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_another_format_is_written_where_it_is_asked_for_and_what_it_lacks_is_said(
    networks: Mapping[str, Path], tmp_path: Path
) -> None:
    image = COLOUR.copy()
    image.putalpha(Image.new("L", image.size, 0))
    image.save(tmp_path / "a.png", dpi=(300, 300), icc_profile=SRGB)
    Image.fromarray(WIDE[..., 0]).save(tmp_path / "b.tif")
    done = _predict(networks["same"], tmp_path / "a.png", tmp_path / "out", "format=jpg")
    assert "JPEG has no transparency: laid over white" in done.err
    assert (_levels(tmp_path / "out/a.jpg") >= 254).all()
    done = _predict(networks["same"], tmp_path / "a.png", tmp_path / "out", "format=bmp")
    assert "BMP has no place for the colour profile: not kept" in done.err
    done = _predict(networks["same"], tmp_path / "a.png", tmp_path / "out", "format=webp")
    assert "WEBP has no place for the resolution: not kept" in done.err
    assert np.array_equal(_levels(tmp_path / "out/a.webp"), _levels(tmp_path / "a.png"))
    done = _predict(networks["same"], tmp_path / "b.tif", tmp_path / "out", "format=webp")
    assert "16 bits a channel become 8 as WEBP" in done.err
    assert np.array_equal(_levels(tmp_path / "out/b.webp")[..., 0], np.rint(WIDE[..., 0] / 257))


@pytest.mark.long
def test_a_lower_quality_makes_a_smaller_file(networks: Mapping[str, Path], tmp_path: Path) -> None:
    COLOUR.save(tmp_path / "a.jpg")
    sizes = []
    for quality in (30, 90):
        folder = tmp_path / str(quality)
        _predict(networks["same"], tmp_path / "a.jpg", folder, f"quality={quality}")
        sizes.append((folder / "a.jpg").stat().st_size)
    assert sizes[0] < sizes[1]


def test_animations_are_refused_by_name_and_the_others_are_done(
    networks: Mapping[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    COLOUR.save(folder / "a.png")
    for name in ("b.webp", "c.tif", "d.png"):
        COLOUR.save(folder / name, save_all=True, append_images=[COLOUR.rotate(90)])
    (folder / "e.png").write_bytes((folder / "a.png").read_bytes()[:500])
    paths = (f"checkpoint={networks['same']}", f"input={folder}", f"output={tmp_path}/out")
    done = command("predict", *paths)
    assert done.code == 1
    for name in ("b.webp", "c.tif", "d.png"):
        assert f"{name}: holds 2 frames; save the one you want as PNG" in done.err
    assert "e.png: is damaged" in done.err
    assert "4 of 5 images could not be restored, 1 were" in done.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_the_picture_behind_a_photograph_of_a_phone_is_said_to_be_lost(
    networks: Mapping[str, Path], tmp_path: Path
) -> None:
    COLOUR.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[COLOUR])
    done = _predict(networks["same"], tmp_path / "a.jpg", tmp_path / "out")
    assert "the second picture is not kept" in done.err
    with Image.open(tmp_path / "out/a.jpg") as image:
        assert image.format == "JPEG"


def test_before_after_and_difference_lie_beside_a_result_where_they_are_asked_for(
    networks: Mapping[str, Path], tmp_path: Path
) -> None:
    COLOUR.save(tmp_path / "a.jpg")
    _predict(networks["larger"], tmp_path / "a.jpg", tmp_path / "out", "compare=true")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.jpg", "a.jpg.compare.png"}
    compared = _levels(tmp_path / "out/a.jpg.compare.png")
    assert compared.shape == (40, 3 * 48, 3)
    assert np.array_equal(compared[:, :48], compared[:, 48:96])  # bicubic is what it is beside
    assert set(np.unique(compared[:, 96:])) <= {127, 128}


@pytest.mark.long
def test_strength_goes_softer_and_stronger(run: Path, tmp_path: Path) -> None:
    Image.fromarray(pixels(channels=3) // 4 + 96).save(tmp_path / "a.png")  # far from black, white
    before = _levels(tmp_path / "a.png").astype(float)
    changes = {}
    for strength in ("0", "0.5", "1", "2"):
        _predict(run, tmp_path / "a.png", tmp_path / strength, f"strength={strength}")
        changes[strength] = _levels(tmp_path / strength / "a.png") - before
    assert not changes["0"].any()
    assert changes["1"].any()
    twice = before + changes["2"]
    inside = (twice > 0) & (twice < 255)  # what is clipped goes no further
    assert np.abs(changes["0.5"] - changes["1"] / 2)[inside].max() <= 1
    assert np.abs(changes["2"] - changes["1"] * 2)[inside].max() <= 1.5
    paths = (f"checkpoint={run}", f"input={tmp_path}/a.png", f"output={tmp_path}/out")
    done = command("predict", *paths, "strength=3")
    assert done.code == 2
    assert "strength=3 is not possible; it is 0 (none) to 2" in done.err


@pytest.mark.long
def test_the_level_of_noise_is_estimated_for_a_network_that_is_told_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = FFDNet(4, 3, channels=4, blocks=1)
    node = {"_target_": "src.models.backbones.ffdnet.FFDNet", "in_channels": 4, "out_channels": 3}
    node |= {"channels": 4, "blocks": 1}
    file = tmp_path / "ffdnet.safetensors"
    write_network(file, net.state_dict(), node, {})
    noisy = 128 + np.random.default_rng(0).normal(0, 20, (96, 96, 3))
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(tmp_path / "a.png")
    done = _predict(file, tmp_path / "a.png", tmp_path / "estimated")
    words = re.search(r"Level      sigma ([\d.]+), estimated \(a\.png\)", done.err)
    assert words is not None
    assert float(words[1]) == pytest.approx(20, abs=0.5)
    done = _predict(file, tmp_path / "a.png", tmp_path / "given", "sigma=50")
    assert "sigma=50 on the 8-bit scale" in done.err
    assert "estimated" not in done.err
    results = [(tmp_path / name / "a.png").read_bytes() for name in ("estimated", "given")]
    assert results[0] != results[1]


@pytest.mark.long
def test_the_quality_of_a_jpeg_is_read_and_compared_with_that_of_the_training(
    tmp_path: Path,
) -> None:
    train_tiny(tmp_path / "run", "task=dejpeg")
    for quality in (10, 60):
        GREY.save(tmp_path / f"q{quality}.jpg", quality=quality)
        path = tmp_path / f"q{quality}.jpg"
        done = _predict(tmp_path / "run", path, tmp_path / "out")
        assert f"Level      JPEG quality {quality}" in done.err
        assert ("the network was trained for 10 (" in done.err) == (quality == 60)
