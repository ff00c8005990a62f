"""Public weights in our comparison networks: every name and shape, and the published scores."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from src.app.build import build_task
from src.core.paths import ROOT
from src.core.types import Clean
from src.metrics.psnr import psnr
from src.ops.bayer import mosaic
from src.ops.color import luma
from src.ops.resize import downscale, upscale
from tests.support.compose import compose_config
from tests.support.published import load_reference_weights

DATA = ROOT.parent / "shared" / "data"
pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(
        not DATA.is_dir(), reason="public weights and benchmarks lie beside the checkout, not in it"
    ),
]

WEIGHTS = [
    # file, architecture, scale to choose, parameters
    ("IMDN_x2.pth", "imdn", None, 694_404),
    ("vdsr_twtygqyy_state_dict.pth", "vdsr", None, 664_704),
    ("dncnn_25_gray.pth", "dncnn", None, 555_137),
    ("dncnn_color_blind.pth", "dncnn", None, 668_227),
    ("ffdnet_color.pth", "ffdnet", None, 852_108),
    *((f"fsrcnn_yjn870_x{scale}.pth", "fsrcnn", scale, 12_809) for scale in (2, 3, 4)),
    ("carn_m.pth", "carn_m", 2, 257_051),
    ("carn_m.pth", "carn_m", 3, 303_451),
    ("carn_m.pth", "carn_m", 4, 294_171),
    ("demosaicnet_bayer.pth", "demosaicnet", None, 560_886),
]


def loaded(file: str, architecture: str, scale: int | None = None) -> nn.Module:
    """Return the network with its public weights; a wrong name or shape raises."""
    return load_reference_weights(DATA / "weights" / file, architecture, scale)


@pytest.mark.parametrize(("file", "architecture", "scale", "count"), WEIGHTS)
def test_public_weights_fit_name_by_name_and_shape_by_shape(
    file: str, architecture: str, scale: int | None, count: int
) -> None:
    net = loaded(file, architecture, scale)
    assert sum(parameter.numel() for parameter in net.parameters()) == count


def read(path: Path) -> Tensor:
    pixels = np.asarray(Image.open(path).convert("RGB"))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def rounded(image: Tensor) -> Tensor:
    return (image.clamp(0, 1) * 255).round() / 255


def shaved(image: Tensor, scale: int) -> Tensor:
    return image[..., scale:-scale, scale:-scale]


def bird() -> Tensor:
    return read(DATA / "benchmarks/Set5/bird.png")[..., 80:208, 80:208]


@pytest.mark.parametrize(
    ("file", "architecture"), [("ffdnet_color.pth", "ffdnet"), ("dncnn_color_blind.pth", "dncnn")]
)
@torch.no_grad()
def test_public_denoisers_remove_noise_of_level_50(file: str, architecture: str) -> None:
    target, net = bird(), loaded(file, architecture)
    noisy = (
        target + torch.randn(target.shape, generator=torch.Generator().manual_seed(0)) * 50 / 255
    )
    level = [torch.full_like(noisy[:, :1], 50 / 255)] if net.in_channels == 4 else []
    restored = rounded(net(torch.cat([noisy, *level], dim=1)))
    assert psnr(restored, target).item() > psnr(noisy, target).item() + 14  # measured 16.4, 15.6


@torch.no_grad()
def test_public_demosaicing_knows_the_phase_grbg_and_no_other() -> None:
    target, net = bird(), loaded("demosaicnet_bayer.pth", "demosaicnet")
    scores = {
        phase: psnr(rounded(net(mosaic(target, phase))), target).item()
        for phase in ("grbg", "rggb")
    }
    assert scores["grbg"] > scores["rggb"] + 10


@pytest.mark.parametrize(("scale", "least"), [(2, 37.5), (3, 33.9), (4, 31.8)])
@torch.no_grad()
def test_carn_m_is_near_its_published_score_on_one_image(scale: int, least: float) -> None:
    """CARN-M of the public file, on `bird` alone, lies well above bicubic interpolation."""
    target, net = read(DATA / "benchmarks/Set5/bird.png"), loaded("carn_m.pth", "carn_m", scale)
    target = target[..., : target.shape[2] // 12 * 12, : target.shape[3] // 12 * 12]
    restored = rounded(net(downscale(target, scale)))
    score = psnr(shaved(luma(restored), scale), shaved(luma(target), scale)).item()
    assert score > least


@pytest.mark.slow
@torch.no_grad()
def test_imdn_has_its_published_score_on_set5() -> None:
    net, scores = loaded("IMDN_x2.pth", "imdn"), []
    for path in sorted((DATA / "benchmarks/Set5").glob("*.png")):
        target = read(path)
        target = target[..., : target.shape[2] // 2 * 2, : target.shape[3] // 2 * 2]
        restored = rounded(net(downscale(target, 2)))
        scores.append(psnr(shaved(luma(restored), 2), shaved(luma(target), 2)).item())
    assert np.mean(scores) == pytest.approx(38.00, abs=0.02)  # Tab. 5


def luma_score(net: nn.Module, *words: str) -> float:
    """Return the mean PSNR on Set5 of a network of luma, by the task that ``words`` choose."""
    task = build_task(compose_config("task=super_resolution_luma", "model=bicubic", *words)).eval()
    scores = []
    for path in sorted((DATA / "benchmarks/Set5").glob("*.png")):
        pair = task.degrade(Clean(target=read(path), key=[path.stem]))
        degraded = pair["input"]
        if net.scale == 1:  # what net_input does for a network that keeps the size
            degraded = upscale(degraded, task.scale)
        scores += [row["psnr"] for row in task.evaluator(net(degraded), pair["target"])]
    return float(np.mean(scores))


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "readme"), [(2, 37.65), (3, 33.77), (4, 31.45)])
@torch.no_grad()
def test_vdsr_has_the_score_of_its_readme_on_set5(scale: int, readme: float) -> None:
    """twtygqyy/pytorch-vdsr: luma of colour images, rounded nowhere."""
    net = loaded("vdsr_twtygqyy_state_dict.pth", "vdsr")
    assert luma_score(net, f"task.scale={scale}") == pytest.approx(readme, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "readme"), [(2, 37.12), (3, 33.22), (4, 30.50)])
@torch.no_grad()
def test_fsrcnn_has_the_score_of_its_readme_on_set5(scale: int, readme: float) -> None:
    """yjn870/FSRCNN-pytorch: all with Pillow, targets resampled to multiples of the scale."""
    net = loaded(f"fsrcnn_yjn870_x{scale}.pth", "fsrcnn", scale)
    words = (f"task.scale={scale}", "protocol=sr_y_pillow", "degradation=bicubic_pillow")
    assert luma_score(net, *words) == pytest.approx(readme, abs=0.01)
