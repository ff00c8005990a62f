"""The runner: no torch, and tiles whose seams nobody sees."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from src.commands.export import run_onnx
from src.commands.export.run_onnx import GRID, MARGIN, extended, margin_of, pieces, restore, told
from tests.support.onnx_chain import Chain, write_chain, write_mask


@pytest.mark.parametrize("size", [1, 64, 65, 96, 97, 200, 256, 1000])
@pytest.mark.parametrize(
    ("tile", "grid"), [(96, GRID), (97, GRID), (64, GRID), (16, GRID), (96, 48)]
)
def test_pieces_count_each_pixel_once_and_far_from_their_cuts(
    size: int, tile: int, grid: int
) -> None:
    counted = []
    margin = margin_of(tile, grid)
    for start, stop, begin, end in pieces(size, tile, grid):
        assert start % grid == 0
        assert stop - start <= tile
        assert begin == 0 or begin - start >= margin
        assert end == size or stop - end >= margin
        counted += range(begin, end)
    assert counted == list(range(size))


def test_what_counts_is_32_pixels_from_the_cuts_wherever_tiles_are_large_enough() -> None:
    assert [margin_of(tile) for tile in (72, 96, 97, 256)] == [MARGIN] * 4
    assert [margin_of(tile) for tile in (16, 48, 71)] == [4, 12, 17]


def session(file: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(file)


@pytest.mark.parametrize(("scale", "size"), [(1, None), (2, None), (1, 96)])
@pytest.mark.parametrize(("height", "width"), [(150, 83), (9, 200)])
def test_tiles_equal_the_whole(
    tmp_path: Path, scale: int, size: int | None, height: int, width: int
) -> None:
    whole = session(write_chain(Chain(), tmp_path / "a.onnx", scale=scale))
    tiled = write_chain(Chain(), tmp_path / "b.onnx", scale=scale, size=size)
    image = np.random.default_rng(0).random((3, height, width), np.float32)
    restored = restore(session(tiled), image, tile=96)
    assert restored.shape == (3, height * scale, width * scale)
    # below the image there are mirrored pixels where tiles are extended, else zeros
    inner = (slice(None), slice(8, -8 * scale if height > 16 else 8), slice(0, -8 * scale))
    expected = whole.run(None, {"degraded": image[None]})[0][0]
    np.testing.assert_allclose(restored[inner], expected[inner], atol=1e-6)


def mosaic(height: int, width: int) -> run_onnx.Planes:
    """A mosaic of a white image: red at even rows and columns, blue at odd ones."""
    cells = np.zeros((3, height, width), np.float32)
    cells[0, ::2, ::2] = cells[1, ::2, 1::2] = cells[1, 1::2, ::2] = cells[2, 1::2, 1::2] = 1
    return cells


@pytest.mark.parametrize("side", [97, 64, 16])
def test_a_mosaic_has_the_same_cells_in_all_tiles_of_an_odd_and_a_small_size(
    tmp_path: Path, side: int
) -> None:
    """The network lets pass what is where a mosaic that begins with its tile has it."""
    file = write_mask(mosaic(side, side), tmp_path / "net.onnx")
    image = mosaic(150, 211)
    np.testing.assert_array_equal(restore(session(file), image), image)


def test_windows_of_a_network_are_the_same_in_all_tiles(tmp_path: Path) -> None:
    starts = np.zeros((3, 97, 97), np.float32)
    starts[:, ::12, ::12] = 1
    file = write_mask(starts, tmp_path / "net.onnx", padded_to=12)
    expected = np.zeros((3, 200, 300), np.float32)
    expected[:, ::12, ::12] = 1
    np.testing.assert_array_equal(restore(session(file), np.ones_like(expected)), expected)


@pytest.mark.parametrize("shape", [(90, 91), (33, 32), (2, 96)])
def test_a_mosaic_keeps_its_cells_where_it_is_extended(shape: tuple[int, int]) -> None:
    np.testing.assert_array_equal(extended(mosaic(*shape), [96, 96]), mosaic(96, 96))


def test_long_work_says_how_far_it_is_and_short_work_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [row] = pieces(100, 256)
    parts = [(row, column) for column in pieces(500, 96)]
    assert list(told(parts)) == parts
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(run_onnx, "PATIENCE", 0)
    assert list(told(parts)) == parts
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"{done} of 14 tiles, about 0 s left" for done in range(1, 14)]


def test_seams_that_may_show_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = session(write_chain(Chain(), tmp_path / "net.onnx", size=48))
    restore(small, np.zeros((3, 40, 100), np.float32))
    assert capsys.readouterr().err == (
        "Tiles of 48 pixels count from 12 beside their cuts, not 32: seams may show.\n"
    )
    restore(small, np.zeros((3, 40, 48), np.float32))  # one tile has no seam
    assert capsys.readouterr().err == ""


@pytest.mark.long
def test_a_photograph_is_restored_where_torch_cannot_be_imported(tmp_path: Path) -> None:
    write_chain(Chain(), tmp_path / "net.onnx", scale=2)
    smooth = np.linspace(0, 255, 90 * 70 * 3).reshape(90, 70, 3).astype(np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6  # lies on its side
    Image.fromarray(smooth).save(tmp_path / "in.jpg", exif=turned, quality=95)
    script = "import runpy, sys; sys.modules['torch'] = None; sys.argv = sys.argv[1:]\n"
    script += "runpy.run_path(sys.argv[0], run_name='__main__')"
    words = [sys.executable, "-I", "-c", script, run_onnx.__file__, "net.onnx", "in.jpg", "out.png"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (180, 140)
        restored = np.asarray(image, np.float32)
    upright = np.rot90(smooth, -1).repeat(2, 0).repeat(2, 1)
    assert np.abs(restored - upright)[8:-8, 8:-8].mean() < 8


def run(folder: Path, *words: str) -> None:
    """Run the program in this process, in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["run_onnx.py", *words])
        run_onnx.main()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network, a network of somebody else and photographs of all kinds."""
    folder = tmp_path_factory.mktemp("place")
    write_chain(Chain(), folder / "net.onnx")
    other = onnx.load(folder / "net.onnx")
    del other.metadata_props[:]
    onnx.save(other, folder / "other.onnx")
    Image.new("RGB", (30, 20)).save(folder / "in.png", icc_profile=b"a profile")
    Image.fromarray(np.full((20, 30), 40_000, np.uint16)).save(folder / "deep.png")
    for suffix in (".png", ".tif", ".ppm"):
        file = str(folder / f"deep_colour{suffix}")
        assert cv2.imwrite(file, np.full((20, 30, 3), 40_000, np.uint16))
    Image.new("RGBA", (30, 20)).save(folder / "clear.png")
    (folder / "damaged.png").write_bytes((folder / "in.png").read_bytes()[:60])
    return folder


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("none.onnx", "in.png", "out.png"), "none.onnx cannot be opened"),
        (("in.png", "in.png", "out.png"), "in.png cannot be opened"),
        (("other.onnx", "in.png", "out.png"), "was not written by src.export"),
        (("net.onnx", "none.png", "out.png"), "none.png cannot be read"),
        (("net.onnx", "damaged.png", "out.png"), "damaged.png cannot be read"),
        (("net.onnx", "deep.png", "out.png"), "more than 8 bits"),
        (("net.onnx", "deep_colour.png", "out.png"), "more than 8 bits"),
        (("net.onnx", "deep_colour.tif", "out.png"), "more than 8 bits"),
        (("net.onnx", "deep_colour.ppm", "out.png"), "more than 8 bits"),
        (("net.onnx", "clear.png", "out.png"), "has transparency"),
        (("net.onnx", "in.png", "out.xyz"), "must end like a picture"),
        (("net.onnx", "in.png", "none/out.png"), "The folder none does not exist"),
        (("net.onnx", "in.png", "out.png", "--sigma", "25"), "leave --sigma out"),
        (("net.onnx", "in.png", "out.png", "--tile", "0"), "Tiles of 0 pixels cannot be joined"),
    ],
)
def test_what_cannot_be_restored_is_refused_in_words(
    place: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refusal:
        run(place, *words)
    assert refusal.value.code not in {0, None}
    assert said in f"{refusal.value.code}{capsys.readouterr().err}"  # what argparse says is printed
    assert not (place / "out.png").exists()


def test_the_colour_profile_stays(place: Path, tmp_path: Path) -> None:
    run(place, "net.onnx", "in.png", str(tmp_path / "out.png"))
    with Image.open(tmp_path / "out.png") as image:
        assert image.info["icc_profile"] == b"a profile"
