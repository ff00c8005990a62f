from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from src.core.errors import DataError, ImageFileError
from src.data.image_file import opened
from src.data.image_io import read_image
from src.data.photograph import Photograph, read_photograph
from src.data.photograph_writing import kind_of, losses, write_photograph
from tests.support.images import pixels

WIDE = np.random.default_rng(0).integers(0, 2**16, (20, 24, 3), np.uint16)


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Model] = "A camera"
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["grey.png", "grey.tif"])
def test_sixteen_bits_are_turned_upright_whole(tmp_path: Path, name: str, orientation: int) -> None:
    exif = _exif(orientation)
    Image.fromarray(WIDE[..., 0]).save(tmp_path / name, exif=exif)
    Image.fromarray((WIDE[..., 0] >> 8).astype(np.uint8)).save(tmp_path / f"8{name}", exif=exif)
    read, narrow = read_photograph(tmp_path / name), read_photograph(tmp_path / f"8{name}")
    assert (read.depth, narrow.depth) == (16, 8)
    assert torch.equal((read.image * 65535 / 256).floor(), (narrow.image * 255).round())


def test_colour_of_sixteen_bits_survives_a_round_trip(tmp_path: Path) -> None:
    image = torch.from_numpy(WIDE.transpose(2, 0, 1).astype(np.float32) / 65535)
    extras = {"exif": _exif(1).tobytes(), "dpi": (300.0, 300.0)}
    whole = Photograph(image, image[:1], 16, 3, None, extras, ())
    for _ in range(2):  # what was written can be read and written again
        write_photograph(tmp_path / "a.png", whole, "png")
        whole = read_photograph(tmp_path / "a.png")
        assert torch.equal(whole.image, image)
        assert whole.alpha is not None
        assert torch.equal(whole.alpha, image[:1])
        assert whole.extras["dpi"] == pytest.approx((300, 300), abs=0.1)
        loaded = Image.Exif()
        loaded.load(whole.extras["exif"])
        assert loaded[ExifTags.Base.Model] == "A camera"


@pytest.mark.parametrize("kind", ["png", "tiff", "jpeg", "webp"])
@pytest.mark.parametrize(
    "words", [b'<a tiff:Orientation="6"/>', b"<a><tiff:Orientation>6</tiff:Orientation></a>"]
)
def test_an_orientation_in_xmp_is_applied_once_and_reset(
    tmp_path: Path, kind: str, words: bytes
) -> None:
    Image.fromarray(pixels()).save(tmp_path / "a.jpg", exif=_exif(6), xmp=words)
    upright = read_photograph(tmp_path / "a.jpg")
    write_photograph(tmp_path / "b", upright, kind)
    again = read_photograph(tmp_path / "b")
    assert upright.image.shape == again.image.shape == (3, 24, 20)
    assert b"<a" in again.extras["xmp"]


def test_a_tiff_that_states_no_resolution_has_none(tmp_path: Path) -> None:
    Image.fromarray(pixels()).save(tmp_path / "a.tif")
    assert "dpi" not in read_photograph(tmp_path / "a.tif").extras
    Image.fromarray(pixels()).save(tmp_path / "a.tif", dpi=(1, 1))
    assert read_photograph(tmp_path / "a.tif").extras["dpi"] == (1, 1)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16"])
def test_a_tiff_stays_compressed_as_it_was(tmp_path: Path, mode: str, compression: str) -> None:
    levels = np.arange(64 * 48, dtype=np.uint16).reshape(48, 64)
    image = Image.fromarray(levels) if mode == "I;16" else Image.new(mode, (64, 48), 90)
    image.save(tmp_path / "a.tif", compression=compression)
    photograph = read_photograph(tmp_path / "a.tif")
    assert losses(photograph, "tiff") == losses(photograph, "png") == []
    write_photograph(tmp_path / "b.tif", photograph, "tiff")
    write_photograph(tmp_path / "b.png", photograph, "png")
    with Image.open(tmp_path / "b.tif") as written:
        assert written.info["compression"] == compression
    again = read_photograph(tmp_path / "b.tif")
    assert torch.equal(again.image, photograph.image)
    assert (again.alpha is None) == (photograph.alpha is None)


def test_an_iptc_record_is_said_to_be_lost(tmp_path: Path) -> None:
    record = b"Photoshop 3.0\x008BIM\x04\x04\x00\x00\x00\x00\x00\x02\x1c\x02"
    segment = b"\xff\xed" + (len(record) + 2).to_bytes(2, "big") + record
    Image.fromarray(pixels()).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[:20] + segment + content[20:])
    assert "the IPTC or Photoshop record is not kept" in read_photograph(tmp_path / "a.jpg").remarks


def test_an_image_of_nan_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    image = torch.full((1, 4, 4), float("nan"))
    with pytest.raises(DataError, match="NaN"):
        write_photograph(tmp_path / "a.png", Photograph(image, None, 8, 1, None, {}, ()), "png")
    assert not list(tmp_path.iterdir())


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    photograph = Photograph(torch.zeros(1, 1, 16_384), None, 8, 1, None, {}, ())
    with pytest.raises(ValueError, match="16383 pixels a side"):
        write_photograph(tmp_path / "a.webp", photograph, "webp")


@pytest.mark.filterwarnings("ignore")  # Pillow's remarks on what the damage did
@pytest.mark.parametrize("extension", ["png", "jpg", "bmp", "webp"])
def test_damage_anywhere_gives_a_photograph_that_can_be_written_or_our_error(
    tmp_path: Path, extension: str
) -> None:
    generator, refused = np.random.default_rng(0), 0
    path = tmp_path / f"a.{extension}"
    Image.fromarray(pixels(8, 9)).save(path, exif=_exif(6), dpi=(72, 72))
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(60):
        damaged = whole.copy()
        damaged[generator.integers(0, min(300, len(whole)), 3)] = generator.integers(0, 256, 3)
        path.write_bytes(damaged.tobytes())
        try:
            with opened(path) as image:
                kind, _ = kind_of(image)
            write_photograph(tmp_path / "b", read_photograph(path), kind)
        except ImageFileError:
            refused += 1
    assert refused


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
def test_pixels_that_do_not_fit_their_checksum_are_refused(tmp_path: Path, place: float) -> None:
    """Damage in the pixels must not pass for damage in the EXIF, for which PNG decodes."""
    path = tmp_path / "a.png"
    Image.fromarray(pixels(40, 56)).save(path)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ImageFileError, match="is damaged"):
        read_photograph(path)


def _see_through_grey(path: Path, orientation: int) -> np.ndarray:
    """Write 16-bit grey of which the level 7 is transparent; return it, (H, W)."""
    grey = WIDE[..., 0].copy()
    grey[3:6, 4:9] = 7
    exif = _exif(orientation)
    Image.fromarray(grey).save(path, transparency=7, exif=exif)
    return grey


def _alpha(path: Path) -> torch.Tensor:
    alpha = read_photograph(path).alpha
    assert alpha is not None, f"{path.name} is opaque"
    return alpha


def test_a_transparent_level_of_sixteen_bit_grey_is_kept_with_8_bits(tmp_path: Path) -> None:
    grey = _see_through_grey(tmp_path / "a.png", orientation=1)
    read, alpha = read_photograph(tmp_path / "a.png"), _alpha(tmp_path / "a.png")
    assert torch.equal(alpha[0], torch.from_numpy(grey != 7).float())
    assert abs(read.image[0].numpy() - grey / 65535).max() <= 0.5 / 255 + 1e-6
    assert read.depth == 8
    assert "16 bits a channel are read as 8" in read.remarks
    write_photograph(tmp_path / "b.png", read, "png")
    assert torch.equal(_alpha(tmp_path / "b.png"), alpha)
    _see_through_grey(tmp_path / "turned.png", orientation=6)
    assert torch.equal(_alpha(tmp_path / "turned.png"), alpha.rot90(-1, (1, 2)))


def test_a_transparent_level_of_sixteen_bit_grey_is_white_in_training(tmp_path: Path) -> None:
    grey = _see_through_grey(tmp_path / "a.png", orientation=1)
    image = read_image(tmp_path / "a.png", channels=1)
    assert image.dtype == np.uint16
    assert (image[..., 0] == np.where(grey == 7, 65535, grey)).all()
