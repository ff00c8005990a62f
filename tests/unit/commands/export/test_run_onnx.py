"""The runner: no torch, and tiles whose seams nobody sees."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.commands.export import run_onnx
from src.commands.export.run_onnx import MARGIN, pieces, restore
from tests.support.onnx_chain import Chain, write_chain

EXTRA = "the extra 'export' is not installed"
pytest.importorskip("onnx", reason=EXTRA)
onnxruntime = pytest.importorskip("onnxruntime", reason=EXTRA)


@pytest.mark.parametrize("size", [1, 64, 65, 96, 97, 200, 256, 1000])
def test_pieces_count_each_pixel_once_and_far_from_their_cuts(size: int) -> None:
    counted = []
    for start, stop, begin, end in pieces(size, 96):
        assert start % run_onnx.GRID == 0
        assert stop - start <= 96
        assert begin == 0 or begin - start >= MARGIN
        assert end == size or stop - end >= MARGIN
        counted += range(begin, end)
    assert counted == list(range(size))


@pytest.mark.parametrize(("scale", "size"), [(1, None), (2, None), (1, 80)])
@pytest.mark.parametrize(("height", "width"), [(150, 83), (9, 300)])
def test_tiles_equal_the_whole(
    tmp_path: Path, scale: int, size: int | None, height: int, width: int
) -> None:
    whole = onnxruntime.InferenceSession(write_chain(Chain(), tmp_path / "a.onnx", scale=scale))
    tiled = write_chain(Chain(), tmp_path / "b.onnx", scale=scale, size=size)
    image = np.random.default_rng(0).random((3, height, width), np.float32)
    restored = restore(onnxruntime.InferenceSession(tiled), image, tile=96)
    assert restored.shape == (3, height * scale, width * scale)
    # below the image there are mirrored pixels where tiles are extended, else zeros
    inner = (slice(None), slice(8, -8 * scale if height > 16 else 8), slice(0, -8 * scale))
    expected = whole.run(None, {"degraded": image[None]})[0][0]
    np.testing.assert_allclose(restored[inner], expected[inner], atol=1e-6)


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


def test_tiles_without_a_part_that_counts_are_refused(tmp_path: Path) -> None:
    session = onnxruntime.InferenceSession(write_chain(Chain(), tmp_path / "net.onnx"))
    with pytest.raises(SystemExit, match="more than 64 pixels"):
        restore(session, np.zeros((3, 100, 100), np.float32), tile=64)


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, run_onnx.__file__, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network, a network of somebody else and photographs of all kinds."""
    import onnx

    folder = tmp_path_factory.mktemp("place")
    write_chain(Chain(), folder / "net.onnx")
    other = onnx.load(folder / "net.onnx")
    del other.metadata_props[:]
    onnx.save(other, folder / "other.onnx")
    Image.new("RGB", (30, 20)).save(folder / "in.png", icc_profile=b"a profile")
    Image.fromarray(np.full((20, 30), 40_000, np.uint16)).save(folder / "deep.png")
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
        (("net.onnx", "clear.png", "out.png"), "has transparency"),
        (("net.onnx", "in.png", "out.xyz"), "must end like a picture"),
        (("net.onnx", "in.png", "none/out.png"), "The folder none does not exist"),
        (("net.onnx", "in.png", "out.png", "--sigma", "25"), "leave --sigma out"),
        (("net.onnx", "in.png", "out.png", "--tile", "0"), "more than 64 pixels a side"),
    ],
)
def test_what_cannot_be_restored_is_refused_in_words(
    place: Path, words: tuple[str, ...], said: str
) -> None:
    done = run(place, *words)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (place / "out.png").exists()


def test_the_colour_profile_stays(place: Path, tmp_path: Path) -> None:
    done = run(place, "net.onnx", "in.png", str(tmp_path / "out.png"))
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out.png") as image:
        assert image.info["icc_profile"] == b"a profile"
