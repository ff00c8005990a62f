"""Files of lower precision: what they keep of the network, and what is refused."""

import math
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from src.commands.export.lowered import check_lowered, lower, opened_lowered
from src.commands.export.price import Pair, Price, pairs, price
from src.commands.export.program import differences
from src.core.errors import ConfigError, DataError, MismatchError
from src.inference.portable import PortableNet
from src.weights.checkpoint import Checkpoint
from tests.support.onnx_chain import Chain, write_chain
from tests.support.openvino import openvino_or_skip

NET = PortableNet(Chain(), 1)
DENOISER = Checkpoint(
    Path("net.safetensors"), OmegaConf.create({"model": {}}), 0, {"task": "Denoise"}, {}
)
XML = pytest.param(
    ".xml",
    marks=pytest.mark.skipif(
        not find_spec("openvino"),
        reason="the extra 'openvino' is not installed",
    ),
)


def photographs(folder: Path, *, light: float = 1, side: int = 72) -> str:
    """Write three smooth images from black to ``light`` and return the folder."""
    folder.mkdir()
    for index in range(3):
        coarse = np.random.default_rng(index).integers(0, 256, (6, 6, 3)) * light
        image = Image.fromarray(coarse.astype(np.uint8)).resize((side, side + 10 * index))
        image.save(folder / f"{index}.png")
    return str(folder)


@pytest.fixture
def judged(tmp_path: Path) -> list[Pair]:
    return pairs(photographs(tmp_path / "judged"), DENOISER, NET)


@pytest.fixture
def seen(tmp_path: Path) -> list[Pair]:
    return pairs(photographs(tmp_path / "seen"), DENOISER, NET, calibrating=True)


def made(folder: Path, precision: str, suffix: str, seen: list[Pair]) -> Path:
    exact = write_chain(NET.net, folder / "exact.onnx")
    lower(exact, folder / f"net{suffix}", precision, seen)
    return folder / f"net{suffix}"


def cost(file: Path, judged: list[Pair]) -> Price:
    return price(opened_lowered(file), NET, judged)


@pytest.mark.long
@pytest.mark.parametrize("suffix", [".onnx", XML])
def test_int8_calibrated_on_photographs_is_smaller_and_loses_little(
    tmp_path: Path, suffix: str, judged: list[Pair], seen: list[Pair]
) -> None:
    file = made(tmp_path, "int8", suffix, seen)
    lost = cost(file, judged)
    assert -0.1 < lost.loss_db < 0.1
    assert 0 < lost.difference < 0.05
    exact = write_chain(NET.net, tmp_path / "exact.onnx").stat().st_size
    assert file.with_suffix(".bin" if suffix == ".xml" else suffix).stat().st_size < exact / 1.5


@pytest.mark.long
@pytest.mark.parametrize("suffix", [".onnx", XML])
def test_int8_calibrated_on_the_dark_loses_what_is_refused(
    tmp_path: Path, suffix: str, judged: list[Pair]
) -> None:
    dark = pairs(photographs(tmp_path / "dark", light=0), DENOISER, NET, calibrating=True)
    assert cost(made(tmp_path, "int8", suffix, dark), judged).loss_db > 1


@pytest.mark.parametrize("suffix", [".onnx", XML])
def test_half_precision_is_half_as_large_and_nearly_the_same(
    tmp_path: Path, suffix: str, judged: list[Pair]
) -> None:
    file = made(tmp_path, "fp16", suffix, [])
    lost = cost(file, judged)
    assert abs(lost.loss_db) < 0.02
    assert lost.difference < 0.01  # OpenVINO may compute in bfloat16
    exact = write_chain(NET.net, tmp_path / "exact.onnx").stat().st_size
    assert file.with_suffix(".bin" if suffix == ".xml" else suffix).stat().st_size < exact / 1.8


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_lowered_file_still_says_what_it_is(
    tmp_path: Path, precision: str, seen: list[Pair]
) -> None:
    props = onnx.load(made(tmp_path, precision, ".onnx", seen)).metadata_props
    said = {entry.key: entry.value for entry in props}
    assert said.items() >= {"scale": "1", "least_side": "16"}.items()


def test_a_file_for_openvino_says_what_it_is(tmp_path: Path) -> None:
    package = openvino_or_skip()
    file = made(tmp_path, "fp32", ".xml", [])
    model = package.Core().read_model(file)
    assert model.get_rt_info(["exemplar", "least_side"]).astype(str) == "16"


def test_openvino_comes_without_its_telemetry() -> None:
    openvino_or_skip()
    stub = sys.modules["openvino.tools.ovc.telemetry_utils"].tm  # type: ignore[attr-defined]
    assert stub.__name__ == "openvino.tools.ovc.telemetry_stub"


def test_the_price_of_the_network_itself_is_nothing(judged: list[Pair]) -> None:
    free = price(NET, NET, judged, rounds=2)
    assert (free.loss_db, free.difference) == (0, 0)
    assert free.speed > 0
    assert free.live_speed > 0


def test_a_network_that_returns_nan_is_never_as_good(judged: list[Pair]) -> None:
    def broken(degraded: torch.Tensor) -> torch.Tensor:
        return torch.full_like(degraded, torch.nan)

    cost = price(broken, NET, judged)
    assert math.isnan(cost.loss_db)
    assert math.isnan(cost.difference)
    with pytest.raises(MismatchError, match="by nan at 20×24"):
        differences(broken, NET, [(20, 24)], tolerance=1e-4)


def test_images_are_spread_over_the_whole_folder(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(31):  # fewer than two for each that is seen
        Image.new("RGB", (24, 24), (8 * index,) * 3).save(folder / f"{index:02}.png")
    seen = [
        round(float(clean.mean()) * 255 / 8)
        for _, clean in pairs(str(folder), DENOISER, NET, calibrating=True)
    ]
    assert len(seen) == 16
    assert seen[-1] >= 28


def test_photographs_are_degraded_alike_each_time_and_at_all_levels_in_calibration(
    tmp_path: Path,
) -> None:
    folder = photographs(tmp_path / "seen")
    first, again = (pairs(folder, DENOISER, NET) for _ in range(2))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))

    def levels(some: list[Pair]) -> list[float]:
        return [float((noisy - clean).std() * 255) for noisy, clean in some]

    assert all(20 < level < 26 for level in levels(first))  # 25, clipped to 8 bits
    seen = levels(pairs(folder, DENOISER, NET, calibrating=True))
    assert max(seen) - min(seen) > 5


def test_a_network_for_one_size_is_judged_at_that_size(tmp_path: Path) -> None:
    folder = photographs(tmp_path / "seen")
    assert {pair[0].shape[-2:] for pair in pairs(folder, DENOISER, NET, size=[40, 64])} == {
        (40, 64)
    }
    with pytest.raises(ConfigError, match=r"0\.png is too small"):
        pairs(folder, DENOISER, NET, size=[80, 80])


def test_folders_that_cannot_serve_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        pairs(str(tmp_path / "nowhere"), DENOISER, NET)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no image"):
        pairs(str(tmp_path / "empty"), DENOISER, NET)
    with pytest.raises(ConfigError, match=r"0\.png is too small .* 20×20 .* 24 are needed"):
        pairs(photographs(tmp_path / "small", side=20), DENOISER, NET)


def test_a_network_that_does_not_say_what_it_restores_is_refused(tmp_path: Path) -> None:
    alone = Checkpoint(Path("net.safetensors"), OmegaConf.create({"model": {}}), 0, {}, {})
    with pytest.raises(ConfigError, match="does not say how its inputs are degraded"):
        pairs(photographs(tmp_path / "seen"), alone, NET)


def test_int8_of_a_network_without_inner_convolutions_is_refused(
    tmp_path: Path, seen: list[Pair]
) -> None:
    exact = write_chain(Chain(inner=2), tmp_path / "exact.onnx")
    with pytest.raises(ConfigError, match=r"this network has 4\. Take precision=fp16"):
        lower(exact, tmp_path / "net.onnx", "int8", seen)


@pytest.mark.parametrize(
    ("suffix", "given", "message"),
    [
        (".onnx", {"precision": "int4"}, "one of fp32, fp16, int8"),
        (".pt2", {"precision": "fp16"}, r"needs output=….onnx or output=….xml"),
        (".onnx", {"precision": "fp16"}, r"add judged=<folder"),
        (".onnx", {"precision": "int8", "judged": "a"}, r"needs calibration=<folder"),
        (".safetensors", {"judged": "a"}, "nothing to judge"),
        (".onnx", {"calibration": "a"}, "only for precision=int8"),
        (".onnx", {"max_loss_db": float("nan")}, "max_loss_db=nan allows nothing"),
    ],
)
def test_what_cannot_be_made_or_judged_is_refused(
    suffix: str, given: dict[str, str], message: str
) -> None:
    nothing = {"precision": "fp32", "judged": None, "calibration": None, "max_loss_db": 0.1}
    with pytest.raises(ConfigError, match=message):
        check_lowered(OmegaConf.create(nothing | given), suffix)
