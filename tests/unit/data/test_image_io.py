import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import EpsImagePlugin, ExifTags, Image

from src.commands.prepare.pixels import header
from src.core.errors import ConfigError, DataError, ImageFileError
from src.data.image_file import AVIF, DEFAULT_PIXEL_LIMIT, PIXEL_LIMIT, apply_pixel_limit, opened
from src.data.image_io import is_grey, read_image, to_image, to_tensor, write_png
from tests.support.images import pixels, write


def test_rgb_is_read_as_it_was_written(tmp_path: Path) -> None:
    image = pixels()
    assert np.array_equal(read_image(write(tmp_path / "a.png", image), channels=3), image)


def test_grey_is_repeated_for_three_channels_and_kept_for_one(tmp_path: Path) -> None:
    grey = pixels(channels=1)
    path = write(tmp_path / "grey.png", grey)
    assert np.array_equal(read_image(path, channels=3), grey.repeat(3, axis=2))
    assert np.array_equal(read_image(path, channels=1), grey)


def test_one_channel_of_a_colour_image_is_matlabs_luma(tmp_path: Path) -> None:
    image = pixels()
    luma = 16 + image @ np.array([65.481, 128.553, 24.966]) / 255
    read = read_image(write(tmp_path / "a.png", image), channels=1)
    assert np.abs(read[..., 0] - luma).max() <= 0.5 + 1e-9  # rounded to 8 bits


def test_opaque_alpha_is_dropped(tmp_path: Path) -> None:
    image = pixels()
    opaque = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    assert np.array_equal(read_image(write(tmp_path / "a.png", opaque), channels=3), image)


def test_transparent_pixels_become_white(tmp_path: Path) -> None:
    image = pixels(channels=4)
    image[..., 3] = 255
    image[:5, :, 3] = 0
    read = read_image(write(tmp_path / "a.png", image), channels=3)
    assert (read[:5] == 255).all()
    assert np.array_equal(read[5:], image[5:, :, :3])


def test_palette_images_are_read_in_their_colours(tmp_path: Path) -> None:
    image = Image.fromarray(pixels()).quantize(16)
    image.save(tmp_path / "p.png")
    assert np.array_equal(
        read_image(tmp_path / "p.png", channels=3), np.asarray(image.convert("RGB"))
    )


def test_a_transparent_palette_entry_becomes_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((4, 6), np.uint8), mode=None).convert("P")
    image.save(tmp_path / "p.png", transparency=0)
    assert (read_image(tmp_path / "p.png", channels=3) == 255).all()


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_sixteen_bits_of_grey_stay(tmp_path: Path, extension: str) -> None:
    wide = np.array([[0, 257, 128 * 257 + 100, 65535], [128, 129, 40000, 300]], np.uint16)
    Image.fromarray(wide).save(tmp_path / f"w.{extension}")
    read = read_image(tmp_path / f"w.{extension}", channels=1)[..., 0]
    assert read.dtype == np.uint16
    assert np.array_equal(read, wide)


def test_cmyk_is_converted_to_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (6, 4), (0, 255, 255, 0)).save(tmp_path / "c.tif")
    assert (read_image(tmp_path / "c.tif", channels=3) == [255, 0, 0]).all()


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned a quarter clockwise
    image = pixels()
    Image.fromarray(image).save(tmp_path / "r.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "r.png", channels=3), np.rot90(image, -1))


def test_one_pixel_is_an_image(tmp_path: Path) -> None:
    image = pixels(1, 1)
    assert np.array_equal(read_image(write(tmp_path / "t.png", image), channels=3), image)


def test_bilevel_images_are_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(pixels(channels=1)[..., 0] > 99).save(tmp_path / "b.png")
    assert set(np.unique(read_image(tmp_path / "b.png", channels=3))) == {0, 255}


@pytest.mark.parametrize("extension", ["png", "jpg", "bmp", "tif", "webp"])
def test_each_truncated_format_is_refused(tmp_path: Path, extension: str) -> None:
    path = write(tmp_path / f"a.{extension}", pixels(60, 80))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ImageFileError, match=rf"a\.{extension}: is (damaged|not an image)"):
        read_image(path, channels=3)


def test_text_named_png_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(ImageFileError, match="is not an image, whatever its name says"):
        read_image(tmp_path / "a.png", channels=3)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(ImageFileError, match="0 bytes"):
        read_image(tmp_path / "a.png", channels=3)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match=r"gone\.png: cannot be opened: No such file"):
        read_image(tmp_path / "gone.png", channels=3)


@pytest.mark.parametrize(
    ("dtype", "reason"),
    [("float32", r"has values from 2 to 2; floats must be in \[0, 1\]"), ("int32", "32-bit")],
)
def test_pixels_of_unknown_range_are_refused(tmp_path: Path, dtype: str, reason: str) -> None:
    Image.fromarray(np.full((4, 6), 2, dtype)).save(tmp_path / "f.tif")
    with pytest.raises(ImageFileError, match=reason):
        read_image(tmp_path / "f.tif", channels=1)


def test_animations_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(pixels(seed=seed)) for seed in range(3)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageFileError, match="holds 3 frames"):
        read_image(tmp_path / "a.webp", channels=3)


@pytest.mark.long
def test_decompression_bombs_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    Image.new("1", (20000, 20000)).save(tmp_path / "bomb.png")
    with pytest.raises(ImageFileError, match="is too large"):
        read_image(tmp_path / "bomb.png", channels=3)


@pytest.mark.filterwarnings("ignore")  # Pillow's remarks on what the damage did
def test_damage_anywhere_in_a_file_gives_an_image_or_our_error(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for extension in ("png", "jpg", "bmp", "webp"):  # a TIFF may ask for 23 s of zeros
        path = write(tmp_path / f"a.{extension}", pixels(8, 9))
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(30):
            damaged = whole.copy()
            damaged[generator.integers(0, min(200, len(whole)), 4)] = generator.integers(0, 256, 4)
            path.write_bytes(damaged.tobytes())
            _read_or_refuse(path)


def _read_or_refuse(path: Path) -> None:
    try:
        read_image(path, channels=3)
    except ImageFileError:
        return


def test_png_round_trip_is_exact_and_leaves_no_other_file(tmp_path: Path) -> None:
    for channels in (1, 3):
        image = pixels(channels=channels)
        write_png(tmp_path / "sub/a.png", image)
        assert np.array_equal(read_image(tmp_path / "sub/a.png", channels=channels), image)
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["a.png"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", pixels())
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_png(path, np.zeros((4, 4, 7), np.uint8))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_tensor_round_trip_is_exact() -> None:
    image = pixels()
    tensor = to_tensor(image)
    assert tensor.shape == (3, 20, 24)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    assert np.array_equal(to_image(tensor), image)


def test_to_image_clamps_and_rounds_half_to_even() -> None:
    tensor = torch.tensor([-1.0, 0.5 / 255, 1.5 / 255, 2.5 / 255, 9.0]).view(1, 1, 5)
    assert to_image(tensor).ravel().tolist() == [0, 0, 2, 2, 255]


def test_to_image_refuses_nan() -> None:
    with pytest.raises(DataError, match="NaN"):
        to_image(torch.tensor([[[float("nan")]]]))


@pytest.fixture
def usual_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PIXEL_LIMIT, raising=False)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", DEFAULT_PIXEL_LIMIT // 2)


@pytest.mark.usefixtures("usual_limit")
def test_an_image_above_the_limit_is_refused_and_the_switch_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "a.png", pixels(20, 24))
    monkeypatch.setenv(PIXEL_LIMIT, "479")
    with pytest.raises(ImageFileError, match=r"too large.*EXEMPLAR_MAX_PIXELS=<pixels>"):
        read_image(file, channels=3)
    with pytest.raises(ImageFileError, match=r"too large.*EXEMPLAR_MAX_PIXELS=<pixels>"):
        header(file.read_bytes(), file)


@pytest.mark.usefixtures("usual_limit")
@pytest.mark.parametrize("limit", ["960", "0"])
def test_a_higher_limit_or_none_lets_it_through(
    limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "a.png", pixels(20, 24))
    monkeypatch.setenv(PIXEL_LIMIT, limit)
    assert read_image(file, channels=3).shape == (20, 24, 3)


@pytest.mark.usefixtures("usual_limit")
def test_without_the_switch_the_limit_is_179_million_pixels() -> None:
    assert apply_pixel_limit() == 178_956_970


@pytest.mark.usefixtures("usual_limit")
@pytest.mark.parametrize("text", ["many", "-1", "1e9", ""])
def test_what_is_no_number_of_pixels_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PIXEL_LIMIT, text)
    with pytest.raises(ConfigError, match="whole number of pixels"):
        apply_pixel_limit()


def test_postscript_under_an_images_name_reaches_no_outside_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, program = tmp_path / "ran", tmp_path / "bin/gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {mark}\necho 10\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # as in a new process
    file = tmp_path / "a.png"
    file.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(ImageFileError, match="none of BMP, GIF"):
        read_image(file, channels=3)
    assert not mark.exists()


def test_a_format_that_nobody_asked_for_is_refused_and_not_decoded(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    Image.fromarray(pixels()).save(file, "ICO")
    with pytest.raises(ImageFileError, match="none of BMP, GIF"):
        read_image(file, channels=3)
    with pytest.raises(ImageFileError), opened(file):
        pass


@pytest.mark.skipif(not AVIF, reason="this Pillow reads no AVIF")
def test_avif_of_a_phone_is_read_upright_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    file, turned = tmp_path / "a.avif", Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    image = Image.linear_gradient("L").resize((40, 24)).convert("RGB")
    image.save(file, quality=100, exif=turned)
    upright = np.asarray(image.transpose(Image.Transpose.ROTATE_270))
    read = read_image(file, channels=3)
    assert read.shape == upright.shape
    assert np.abs(read.astype(int) - upright).mean() < 3
    (tmp_path / "b.jpg").write_bytes(file.read_bytes()[:-200])
    with pytest.raises(ImageFileError, match=r"b\.jpg: is "):
        read_image(tmp_path / "b.jpg", channels=3)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_sixteen_bit_grey_is_positive_wherever_zero_is(
    tmp_path: Path, photometric: str, order: str
) -> None:
    wide = np.arange(6 * 8, dtype=np.uint16).reshape(6, 8) * 1365
    stored = wide if photometric == "minisblack" else 65535 - wide
    path = tmp_path / "w.tif"
    tifffile.imwrite(path, stored, photometric=photometric, byteorder=order)
    if (photometric, order) == ("miniswhite", ">"):  # Pillow knows no such mode
        with pytest.raises(ImageFileError, match="not an image"):
            read_image(path, channels=1)
        return
    assert np.array_equal(read_image(path, channels=1)[..., 0], wide)


def test_twelve_bits_are_scaled(tmp_path: Path) -> None:
    levels = np.arange(4 * 6, dtype=np.uint16).reshape(4, 6) * 178  # 0 to 4094
    bits = (levels[..., None] >> np.arange(11, -1, -1)) & 1
    strip = np.packbits(bits.astype(np.uint8).ravel()).tobytes()
    entries = [(256, 6), (257, 4), (258, 12), (259, 1), (262, 1), (273, 110), (277, 1), (279, 36)]
    tags = b"".join(struct.pack("<HHII", number, 4, 1, value) for number, value in entries)
    header = b"II*\0" + struct.pack("<IH", 8, len(entries)) + tags + bytes(4)
    (tmp_path / "t.tif").write_bytes(header.ljust(110, b"\0") + strip)
    read = read_image(tmp_path / "t.tif", channels=1)[..., 0]
    assert np.array_equal(read, np.round(levels * (65535 / 4095)).astype(np.uint16))


@pytest.mark.parametrize(
    ("shape", "bits", "compression"), [((2, 6, 8), 8, "zlib"), ((3, 6, 8), 16, None)]
)
def test_planes_that_pillow_mixes_up_are_refused(
    tmp_path: Path, shape: tuple[int, ...], bits: int, compression: str | None
) -> None:
    tifffile.imwrite(
        tmp_path / "p.tif",
        np.zeros(shape, f"uint{bits}"),
        photometric="rgb" if shape[0] == 3 else "minisblack",
        planarconfig="separate",
        extrasamples=None if shape[0] == 3 else ["unassalpha"],
        compression=compression,
    )
    with pytest.raises(ImageFileError, match=r"p\.tif: has its channels one after the other"):
        read_image(tmp_path / "p.tif", channels=3)


def _containers(folder: Path) -> list[Path]:
    """Write one grey image as PNG of one and three channels, as palette, BMP and WebP."""
    grey = Image.fromarray(pixels(channels=1)[..., 0])
    grey.save(folder / "one.png")
    grey.convert("RGB").save(folder / "three.png")
    grey.convert("P").save(folder / "palette.png")
    grey.save(folder / "grey.bmp")
    grey.save(folder / "grey.webp", lossless=True)
    return sorted(folder.iterdir())


@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_grey_pixels_are_the_same_in_every_container(
    tmp_path: Path, channels: int
) -> None:
    read = [read_image(path, channels=channels) for path in _containers(tmp_path)]
    assert all(np.array_equal(one, read[0]) for one in read)
    assert np.array_equal(read[0][..., :1], pixels(channels=1))


def test_by_the_file_grey_in_three_channels_is_luma(tmp_path: Path) -> None:
    _containers(tmp_path)
    one = read_image(tmp_path / "one.png", channels=1, grey="file")
    three = read_image(tmp_path / "three.png", channels=1, grey="file")
    assert np.array_equal(one, pixels(channels=1))
    assert np.abs(16 + one * (219.0 / 255) - three).max() <= 0.5 + 1e-9


def test_grey_that_a_lossy_webp_has_rounded_is_grey(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    Image.fromarray(ramp).save(tmp_path / "a.webp", quality=90)
    assert is_grey(read_image(tmp_path / "a.webp", channels=3))
    assert not is_grey(pixels(2, 2))


def test_a_file_larger_than_any_image_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        file.truncate(2**40)  # takes no room on the disk
    with pytest.raises(ImageFileError, match="GB, more than"):
        read_image(tmp_path / "a.npy", channels=3)
